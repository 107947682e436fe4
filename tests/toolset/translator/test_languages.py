"""Names of languages: all of ISO 639-1, found as people write them."""

from __future__ import annotations

import pytest

from toolset.translator.forms import parse
from toolset.translator.languages import ASKING, code_of, find, languages, name_of

ISO_639_1 = (
    "aa ab ae af ak am an ar as av ay az ba be bg bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el en eo "
    "es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu ja jv ka "
    "kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd ne ng "
    "nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr ss st su "
    "sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu"
).split()  # the standard's list, written out here as an independent reference


def test_every_language_of_iso_639_1_is_known() -> None:
    assert len(ISO_639_1) == 183
    assert set(ISO_639_1) <= set(languages())


@pytest.mark.parametrize("code", ISO_639_1)
def test_hello_in_every_language_is_read(code: str) -> None:
    for name in languages()[code].english:
        request = parse(f"hello in {name}")
        assert request is not None, name
        assert request.text == "hello"
        assert request.target == find(name)
    assert find(name_of(code)) == code


@pytest.mark.parametrize("asking", ASKING)
def test_no_two_languages_share_a_name_in_one_asking_language(asking: str) -> None:
    names = [entry.names[asking] for entry in languages().values() if asking in entry.names]
    assert all(find(name, asking) for name in names)
    doubles = {name for name in names if names.count(name) > 1}
    assert not doubles


@pytest.mark.parametrize(
    ("code", "ours"),
    [
        ("eng", "en"),
        ("ENG", "en"),
        ("ger", "de"),
        ("deu", "de"),
        ("zho", "zh"),
        ("ast", "ast"),
        ("xx", None),
        ("", None),
    ],
)
def test_codes_of_two_and_three_letters(code: str, ours: str | None) -> None:
    assert code_of(code) == ours


@pytest.mark.parametrize(
    ("name", "asking", "code"),
    [("FRENCH", "en", "fr"), ("français", "en", "fr"), ("francais", "en", "fr"), ("francés", "es", "fr"),
     ("frances", "es", "fr"), ("Deutsch", "en", "de"), ("日本語", "en", "ja"), ("Klingon", "en", None)],
)  # fmt: skip
def test_a_name_is_found_with_or_without_accents(name: str, asking: str, code: str | None) -> None:
    assert find(name, asking) == code
