"""The units the calculator knows, by the names people write; values and conversions are pint's.

Only names in this table reach pint, and only as attribute names of its registry: no text of a query is ever given to
pint's parser. A name that stands for several units ("ounces", "pounds", "C") lists them all; a conversion settles
which is meant, or is left alone. Units whose size depends on the country say so in their label; those without a
settled size ("tons", "calories") are not in the table.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class UnitName:
    """One unit: what it measures, its value as a multiple of pint units, its labels, whether its scale is offset."""

    measures: str
    multiple: int
    factors: tuple[tuple[str, int], ...]
    singular: str
    plural: str
    offset: bool = False


# pint's name, or a multiple and product such as "kilometer/hour", "4840*yard^2" (the international acre; pint's own
# acre is the survey one) | label | label for more than one | names, ";" between them.
# A name that starts with "=" is taken in exactly this case only: another case is another unit (mm and Mm, MiB and Mib,
# kn and kN) or may be one (ML is a megaliter by the book, milliliters in capitals, and so no name at all).
TABLE = """
[length]
kilometer | km | km | =km; =KM; =Km; kilometer; kilometers; kilometre; kilometres
meter | m | m | =m; meter; meters; metre; metres
decimeter | dm | dm | =dm; decimeter; decimeters; decimetre; decimetres
centimeter | cm | cm | cm; cms; centimeter; centimeters; centimetre; centimetres
millimeter | mm | mm | =mm; millimeter; millimeters; millimetre; millimetres
micrometer | µm | µm | =µm; =μm; =um; micrometer; micrometers; micrometre; micrometres; micron; microns
nanometer | nm | nm | =nm; nanometer; nanometers; nanometre; nanometres
mile | mile | miles | mi; mile; miles; statute mile; statute miles
nautical_mile | nautical mile | nautical miles | nmi; nautical mile; nautical miles
yard | yard | yards | yd; yds; yard; yards
foot | foot | feet | ft; foot; feet; '; ′
inch | inch | inches | in; inch; inches; "; ″
light_year | light-year | light-years | ly; light-year; light-years; light year; light years
astronomical_unit | au | au | =au; =AU; astronomical unit; astronomical units
parsec | parsec | parsecs | =pc; parsec; parsecs
2*yard | fathom | fathoms | fathom; fathoms
220*yard | furlong | furlongs | furlong; furlongs
[mass]
metric_ton | tonne | tonnes | =t; tonne; tonnes; metric ton; metric tons
kilogram | kg | kg | kg; kgs; kilo; kilos; kilogram; kilograms; kilogramme; kilogrammes
gram | g | g | =g; gram; grams; gramme; grammes
milligram | mg | mg | =mg; milligram; milligrams
microgram | µg | µg | =µg; =μg; =mcg; microgram; micrograms
pound | pound | pounds | lb; lbs; pound; pounds
ounce | ounce | ounces | oz; ounce; ounces
stone | stone | stone | stone; stones
short_ton | short ton | short tons | short ton; short tons; US ton; US tons
long_ton | long ton | long tons | long ton; long tons; imperial ton; imperial tons
troy_ounce | troy ounce | troy ounces | troy ounce; troy ounces; ozt
carat | carat | carats | carat; carats
grain | grain | grains | grain; grains
[time]
week | week | weeks | wk; week; weeks
day | day | days | day; days
hour | hour | hours | =h; hr; hrs; hour; hours
minute | minute | minutes | min; mins; minute; minutes
second | second | seconds | =s; sec; secs; second; seconds
millisecond | ms | ms | =ms; millisecond; milliseconds
microsecond | µs | µs | =µs; =μs; =us; microsecond; microseconds
nanosecond | ns | ns | =ns; nanosecond; nanoseconds
fortnight | fortnight | fortnights | fortnight; fortnights
[volume]
liter | L | L | =l; =L; liter; liters; litre; litres
milliliter | mL | mL | =ml; =mL; milliliter; milliliters; millilitre; millilitres
centiliter | cL | cL | =cl; =cL; centiliter; centiliters; centilitre; centilitres
deciliter | dL | dL | =dl; =dL; deciliter; deciliters; decilitre; decilitres
megaliter | megaliter | megaliters | megaliter; megaliters; megalitre; megalitres
gallon | US gallon | US gallons | gal; gallon; gallons; US gallon; US gallons
quart | US quart | US quarts | qt; quart; quarts; US quart; US quarts
pint | US pint | US pints | pint; pints; US pint; US pints
cup | US cup | US cups | cup; cups; US cup; US cups
fluid_ounce | US fluid ounce | US fluid ounces | fl oz; fl. oz; fluid ounce; fluid ounces; oz; ounce; ounces;
    US fluid ounce; US fluid ounces
tablespoon | US tablespoon | US tablespoons | tbsp; tablespoon; tablespoons
teaspoon | US teaspoon | US teaspoons | tsp; teaspoon; teaspoons
imperial_gallon | imperial gallon | imperial gallons | imperial gallon; imperial gallons; UK gallon; UK gallons
imperial_pint | imperial pint | imperial pints | imperial pint; imperial pints; UK pint; UK pints
imperial_quart | imperial quart | imperial quarts | imperial quart; imperial quarts
imperial_fluid_ounce | imperial fluid ounce | imperial fluid ounces | imperial fluid ounce; imperial fluid ounces
oil_barrel | oil barrel | oil barrels | oil barrel; oil barrels; barrel of oil; barrels of oil
meter^3 | m³ | m³ | =m³; cubic meter; cubic meters; cubic metre; cubic metres
centimeter^3 | cm³ | cm³ | cm³; =cc; cubic centimeter; cubic centimeters; cubic centimetre; cubic centimetres
foot^3 | cubic foot | cubic feet | ft³; cu ft; cubic foot; cubic feet
inch^3 | cubic inch | cubic inches | in³; cu in; cubic inch; cubic inches
yard^3 | cubic yard | cubic yards | yd³; cubic yard; cubic yards
[area]
kilometer^2 | km² | km² | =km²; square kilometer; square kilometers; square kilometre; square kilometres; sq km
meter^2 | m² | m² | =m²; square meter; square meters; square metre; square metres; sq m; sqm
centimeter^2 | cm² | cm² | cm²; square centimeter; square centimeters; square centimetre; square centimetres; sq cm
mile^2 | square mile | square miles | mi²; square mile; square miles; sq mi
yard^2 | square yard | square yards | yd²; square yard; square yards; sq yd
foot^2 | square foot | square feet | ft²; square foot; square feet; sq ft; sqft
inch^2 | square inch | square inches | in²; square inch; square inches; sq in
4840*yard^2 | acre | acres | acre; acres
hectare | hectare | hectares | =ha; hectare; hectares
[speed]
kilometer/hour | km/h | km/h | km/h; kmh; kph; kmph; km per hour; kilometers per hour; kilometres per hour;
    kilometers an hour; kilometres an hour
mile/hour | mph | mph | mph; mi/h; mile per hour; miles per hour; miles an hour
meter/second | m/s | m/s | m/s; meter per second; meters per second; metres per second; metre per second
foot/second | ft/s | ft/s | ft/s; fps; feet per second
knot | knot | knots | =kn; =kt; kts; knot; knots
[force]
newton | N | N | =N; newton; newtons
pound_force | lbf | lbf | lbf; pound-force; pounds-force
[pressure]
pascal | Pa | Pa | =Pa; pascal; pascals
hectopascal | hPa | hPa | =hPa; hectopascal; hectopascals; millibar; millibars; =mbar
kilopascal | kPa | kPa | =kPa; kilopascal; kilopascals
megapascal | MPa | MPa | =MPa; megapascal; megapascals
bar | bar | bar | bar; bars
atmosphere | atm | atm | atm; atmosphere; atmospheres
pound_force_per_square_inch | psi | psi | psi; pounds per square inch
torr | torr | torr | torr
[energy]
joule | J | J | =J; joule; joules
kilojoule | kJ | kJ | =kJ; kilojoule; kilojoules
megajoule | MJ | MJ | =MJ; megajoule; megajoules
kilocalorie | kcal | kcal | kcal; kilocalorie; kilocalories
watt_hour | Wh | Wh | =Wh; watt hour; watt hours; watt-hour; watt-hours
kilowatt_hour | kWh | kWh | kwh; kilowatt hour; kilowatt hours; kilowatt-hour; kilowatt-hours
electron_volt | eV | eV | =eV; electronvolt; electronvolts; electron volt; electron volts
[power]
watt | W | W | =W; watt; watts
kilowatt | kW | kW | =kW; kilowatt; kilowatts
megawatt | MW | MW | =MW; megawatt; megawatts
gigawatt | GW | GW | =GW; gigawatt; gigawatts
horsepower | mechanical hp | mechanical hp | hp; horsepower
[frequency]
hertz | Hz | Hz | =Hz; =hz; hertz
kilohertz | kHz | kHz | khz; kilohertz
megahertz | MHz | MHz | =MHz; megahertz
gigahertz | GHz | GHz | ghz; gigahertz
[data]
bit | bit | bits | bit; bits
byte | byte | bytes | byte; bytes; =B
kilobyte | kB | kB | =kB; =KB; kilobyte; kilobytes
megabyte | MB | MB | =MB; megabyte; megabytes
gigabyte | GB | GB | =GB; gigabyte; gigabytes
terabyte | TB | TB | =TB; terabyte; terabytes
petabyte | PB | PB | =PB; petabyte; petabytes
kibibyte | KiB | KiB | =KiB; kibibyte; kibibytes
mebibyte | MiB | MiB | =MiB; mebibyte; mebibytes
gibibyte | GiB | GiB | =GiB; gibibyte; gibibytes
tebibyte | TiB | TiB | =TiB; tebibyte; tebibytes
kilobit | kbit | kbit | kbit; kilobit; kilobits
megabit | Mbit | Mbit | =Mb; =Mbit; megabit; megabits
gigabit | Gbit | Gbit | =Gb; =Gbit; gigabit; gigabits
[angle]
radian | rad | rad | rad; radian; radians
degree | degree | degrees | deg; degree; degrees; °
turn | turn | turns | turn; turns; revolution; revolutions
[temperature]
degC | °C | °C | °c; c; celsius; centigrade; degree celsius; degrees celsius; degree c; degrees c; deg c;
    degrees centigrade
degF | °F | °F | °f; f; fahrenheit; degree fahrenheit; degrees fahrenheit; degree f; degrees f; deg f
kelvin | K | K | =K; kelvin; kelvins; degrees kelvin
[voltage]
volt | V | V | =V; volt; volts
millivolt | mV | mV | =mV; millivolt; millivolts
kilovolt | kV | kV | =kV; kilovolt; kilovolts
[current]
ampere | A | A | =A; amp; amps; ampere; amperes
milliampere | mA | mA | =mA; milliamp; milliamps; milliampere; milliamperes
[resistance]
ohm | Ω | Ω | =Ω; ohm; ohms
[calendar]
year_12 | year | years | year; years; yr; yrs
month_1 | month | months | month; months
decade_120 | decade | decades | decade; decades
century_1200 | century | centuries | century; centuries
"""

CALENDAR = {"year_12": 12, "month_1": 1, "decade_120": 120, "century_1200": 1200}
"""Calendar units in months: they convert among themselves, and not to days, of which they hold no settled number."""


def read_table() -> tuple[dict[str, tuple[UnitName, ...]], dict[str, tuple[UnitName, ...]]]:
    """Units by name in lower case, and by names whose case matters."""
    anyhow: dict[str, tuple[UnitName, ...]] = {}
    exactly: dict[str, tuple[UnitName, ...]] = {}
    measures = ""
    for line in TABLE.strip().replace(";\n    ", "; ").splitlines():
        if line.startswith("["):
            measures = line.strip("[]")
            continue
        pint_name, singular, plural, names = (part.strip() for part in line.split(" | "))
        multiple, star, product = pint_name.rpartition("*")
        factors = []
        for index, part in enumerate(product.split("/")):
            base, _, exponent = part.partition("^")
            factors.append((base, (-1 if index else 1) * int(exponent or 1)))
        unit = UnitName(
            measures,
            int(multiple) if star else 1,
            tuple(factors),
            singular,
            plural,
            offset=pint_name in ("degC", "degF"),
        )
        for name in (part.strip() for part in names.split(";")):
            table, key = (exactly, name[1:]) if name.startswith("=") else (anyhow, name.lower())
            table[key] = (*table.get(key, ()), unit)
    return anyhow, exactly


ANYHOW, EXACTLY = read_table()
LONGEST_NAME = 4
"""Words of the longest unit name."""


def units_named(name: str) -> tuple[UnitName, ...]:
    """The units a name may stand for; empty for an unknown name."""
    return EXACTLY.get(name) or ANYHOW.get(name.lower(), ())
