"""Greetings and courtesies: what they are in other languages, from those, and what the table leaves to others."""

from __future__ import annotations

import pytest

from toolset.translator import Translator, phrases
from toolset.translator.forms import parse
from toolset.translator.translator import as_result

MAIN = ("fr", "es", "de", "it", "pt", "ca", "nl")


def asked(query: str) -> str | None:
    """The phrase table's translation for `query`."""
    request = parse(query)
    assert request is not None
    found = phrases.answer(request)
    return found.text if found else None


@pytest.mark.parametrize(
    ("phrase", "expected"),
    [
        ("hello", "bonjour hola hallo ciao olá hola hallo"),
        ("hi", "salut hola hallo ciao oi hola hoi"),
        ("good morning", "bonjour buenos_días guten_Morgen buongiorno bom_dia bon_dia goedemorgen"),
        ("good evening", "bonsoir buenas_noches guten_Abend buonasera boa_noite bon_vespre goedenavond"),
        ("good night", "bonne_nuit buenas_noches gute_Nacht buonanotte boa_noite bona_nit welterusten"),
        ("goodbye", "au_revoir adiós auf_Wiedersehen arrivederci adeus adéu tot_ziens"),
        ("please", "s'il_vous_plaît por_favor bitte per_favore por_favor si_us_plau alstublieft"),
        ("thank you", "merci gracias danke grazie obrigado gràcies dank_je"),
        ("thanks", "merci gracias danke grazie obrigado gràcies dank_je"),
        ("you're welcome", "de_rien de_nada gern_geschehen prego de_nada de_res graag_gedaan"),
        ("yes", "oui sí ja sì sim sí ja"),
        ("no", "non no nein no não no nee"),
        ("sorry", "désolé lo_siento Entschuldigung scusa desculpe ho_sento sorry"),
        ("excuse me", "excusez-moi disculpe Entschuldigung mi_scusi com_licença perdoni pardon"),
        ("I love you", "je_t'aime te_quiero ich_liebe_dich ti_amo eu_te_amo t'estimo ik_hou_van_je"),
        ("cheers", "santé salud prost salute saúde salut proost"),
        (
            "how are you",
            "comment_allez-vous_? ¿cómo_estás? wie_geht_es_dir? come_stai? como_está? com_estàs? hoe_gaat_het?",
        ),
    ],
)
def test_what_people_say_in_the_main_languages(phrase: str, expected: str):
    names = ("French", "Spanish", "German", "Italian", "Portuguese", "Catalan", "Dutch")
    found = [asked(f"{phrase} in {name}") for name in names]
    assert found == [each.replace("_", " ") for each in expected.split()]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("bonjour in English", "hello"),
        ("buenas noches in English", "good night"),
        ("gracias in French", "merci"),
        ("buenos dias in English", "good morning"),  # people leave accents out
        ("sí in English", "yes"),
        ('comment dire "bonne nuit" en allemand', "gute Nacht"),
        ("como se diz obrigado em inglês?", "thank you"),
        ("what does gracias mean in Spanish", "thank you"),  # a Spanish word first
        ("what does hello mean in Spanish", "hola"),
        ("dziękuję in English", "thank you"),
        ("translate nei from Norwegian to English", "no"),
        ("hello in Japanese", "こんにちは"),
        ("translate 'Hello, how are you?' to Spanish", "Hola, ¿cómo estás?"),
        ("'No, thank you!' in French", "Non, merci"),
        ("Thank you in German", "Danke"),
        ("I'm sorry in Italian", "mi dispiace"),
    ],
)
def test_both_directions_and_several_phrases(query: str, expected: str):
    assert asked(query) == expected


@pytest.mark.parametrize(
    "query",
    [
        "house in French",
        "hello kitty in French",
        "si in English",  # Spanish "if", not "sí"
        "salud in English",  # health
        "ola in English",  # a wave, or Galician
        "moi in English",  # French "me", not Finnish "hi"
        "tak in English",  # thanks in Danish, yes in Polish
        "tack in French",  # an English word before a Swedish one
        "no in English",  # it comes back as it went
        "what does SIM mean?",
        "please in Thai",  # not in the table
    ],
)
def test_what_is_in_doubt_is_left_to_others(query: str):
    assert asked(query) is None


def test_other_forms_are_named_and_the_source_says_what_it_is():
    translator = Translator()
    (result,) = translator.run("how are you in Spanish")
    translator.close()
    assert (
        result.text == '"how are you" in Spanish: "¿cómo estás?", also ¿cómo está?, ¿qué tal? (Groundling phrase table)'
    )
    assert result.source is not None
    assert result.source.title == (
        "Groundling phrase table (greetings and courtesies, a list written for this project, English to Spanish)"
    )


def test_a_phrase_of_several_meanings_names_them():
    request = parse("ciao in English")
    assert request is not None
    found = phrases.answer(request)
    assert found is not None
    assert as_result("ciao", found).text == '"ciao" in English: "hello", also hi, goodbye (Groundling phrase table)'


def test_every_line_has_the_main_languages_and_reads_back():
    table = phrases.table()
    rows = {id(row): row for found in table.exact.values() for row in found}.values()
    assert len(rows) >= 36
    for row in rows:
        assert set(row.forms) >= {"en", *MAIN}, row.forms["en"]
        for language, forms in row.forms.items():
            assert len(forms) == len({phrases.key(form) for form in forms}), (language, forms)
            found = phrases.translate(row.forms["en"][0], "en", language) if language != "en" else None
            assert language == "en" or (found is not None and found.text == forms[0])
