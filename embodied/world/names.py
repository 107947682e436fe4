"""What else things are called: by the published programs, and by people.

Boundary: names only; which thing of a home a name means is in `embodied.reading`.
"""

from __future__ import annotations

from embodied.world.scene import Node

ALSO_CALLED = {
    "tv": ("television",),
    "telly": ("television",),
    "tv set": ("television",),
    "sofa": ("couch",),
    "couch": ("sofa",),
    "refrigerator": ("fridge",),
    "coffee machine": ("coffee maker",),
    "stove": ("oven",),
    "lamp": ("floor lamp", "table lamp", "light"),
    "telephone": ("phone",),
    "washer": ("washing machine",),
    "pc": ("computer",),
    "mug": ("cup",),
    "bin": ("trash can",),
    "garbage can": ("trash can",),
    "glass": ("drinking glass", "water glass"),
}
"""Other names for things, used where a home has no thing of the given one."""

EQUIVALENT = """
address_book: notes
after_shave: facecream
alarm_clock: clock
basket_for_clothes: clothes_pile
bowl: dish_bowl
cd_player: radio
check: paper
cloth_napkin: napkin papertowel
clothes_pants: pants
clothes_shirt: shirt
coffe_maker: coffeemaker
coffee_cup: mug
computer: cpu_case pc
controller: remote_control
couch: sofa
crayon: crayons
cup: mug waterglass wineglass
cupboard: kitchen_cabinets
curtain: curtains
desk: cpu_table
detergent: dishwashingliquid
diary: journal
dining_room: kitchen
dish_soap: dishwashingliquid
drawing: wallpictureframe
dresser: closet
drinking_glass: waterglass
filing_cabinet: cabinet
floor_lamp: lamp
food_bread: bread bread_slice
food_carrot: carrot
food_chicken: chicken
food_fish: salmon
food_food: cereal potato bellpepper chocolatesyrup creamybuns crackers
  salmon whippedcream banana bananas chicken cutlets chinesefood pear plum orange cucumber tomato apple
food_salt: condiment_shaker
food_turkey: chicken
food_vegetable: salad carrot potato tomato cucumber
fork: cutlery_fork
freezer: fridge
hanger: coatrack
home_office: livingroom
kitchen_cabinet: kitchen_cabinets
knife: cutlery_knife chefknife
light: lightswitch
mat: rug
mop_bucket: bucket
mousepad: mousemat
napkin: papertowel
newspaper: magazine
novel: book
oil: condiment_bottle
oven: stove
pencil: pen
phone: wall_phone cellphone
pot: cookingpot fryingpan
sauce_pan: fryingpan
shampoo: lotionbottle hairproduct
sheets: blanket
shoes: slippers
shower: stall
soap: barsoap
spectacles: glasses
sponge: washing_sponge
stereo: radio
table: diningtable kitchen_table coffee_table
table_cloth: placemat
television: tv walltv
toy: sportsball teddybear globe
trashcan: garbage_can
tray: oventray
wall_clock: clock
water: bottle_water
"""
"""Class, then the names that stand for it in programs; an indented line goes on. From VirtualHome's own table (MIT; its
notice is in `data/`).
"""


def folded(name: str) -> str:
    """A name without case, spaces and joining characters."""
    return name.lower().replace("_", "").replace("-", "").replace(" ", "")


NAMES = {
    folded(name): frozenset(map(folded, others.split()))
    for name, _, others in (line.partition(":") for line in EQUIVALENT.strip().replace("\n  ", " ").splitlines())
}


def is_called(node: Node, name: str) -> bool:
    """Whether a program may call a thing so: by its class, its spoken name, or a known equivalent of either."""
    if name == node.name:
        return True
    said, own = folded(name), {folded(node.name), folded(node.spoken)}
    if said in own or any(said in NAMES.get(each, ()) or each in NAMES.get(said, ()) for each in own):
        return True
    return any(folded(other) in own for other in ALSO_CALLED.get(name.lower().replace("_", " ").strip(), ()))
