"""What a person can do on the page, by mouse, keyboard and at phone width; and what untrusted text cannot do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.async_api import Page, Route, expect

from toolset import Result, Source, Tool, Toolset

from ..api.conftest import Running, eventually
from .conftest import shot

pytestmark = pytest.mark.asyncio(loop_scope="module")

Open = Callable[..., Any]


async def ask(page: Page, text: str) -> None:
    await expect(page.get_by_role("button", name="Send", exact=True)).to_be_visible()
    await page.get_by_label("Message", exact=True).fill(text)
    await page.keyboard.press("Enter")


async def test_a_question_streams_progress_and_ends_in_a_cited_answer(open_page: Open):
    page = await open_page()
    await shot(page, "welcome")
    await ask(page, "slow 1.0 about the Vistula")
    await expect(page.get_by_role("status")).to_have_text("Writing 4 candidates…")
    await expect(page.get_by_role("button", name="Stop")).to_be_visible()
    await shot(page, "progress")
    await expect(page.get_by_role("button", name="Why this answer")).to_be_visible()
    await ask(page, "Where does the Vistula flow?")
    marker = page.locator(".reply").nth(1).get_by_role("link", name="Source 1: Vistula")
    await expect(marker.first).to_have_attribute("href", "https://example.org/vistula?a=1&b=2")
    await expect(marker.first).to_have_attribute("rel", "noopener noreferrer")
    await marker.first.hover()
    await expect(page.get_by_role("tooltip")).to_contain_text("It flows into the Baltic Sea.")
    await shot(page, "citation")


async def test_why_this_answer_shows_candidates_scores_tools_and_times(open_page: Open):
    page = await open_page()
    await ask(page, "Where does the Vistula flow, by broken boats?")
    await page.get_by_role("button", name="Why this answer").click()
    panel = page.get_by_role("complementary", name="Why this answer")
    await expect(panel).to_contain_text("4 candidates, ")
    await expect(panel).to_contain_text("Best draft")
    await expect(panel.locator(".bars").first.locator("dt")).to_have_text(
        ["Sensible", "Specific", "Interesting", "Safe"]
    )
    await expect(panel.locator(".track i").first).to_have_attribute("style", "width: 91%;")
    await expect(panel).to_contain_text("It failed: ")
    await expect(panel).to_contain_text("Together")
    await shot(page, "why")
    await page.keyboard.press("Escape")
    await expect(panel).to_be_hidden()
    await expect(page.get_by_role("button", name="Why this answer")).to_be_focused()


async def test_what_was_filtered_is_shown_as_filtered(open_page: Open):
    page = await open_page(color_scheme="dark")
    await ask(page, "unsafe things")
    await expect(page.locator(".reply.blocked")).to_contain_text("rather not")
    await page.get_by_role("button", name="Why this answer").click()
    panel = page.get_by_role("complementary", name="Why this answer")
    await expect(panel).to_contain_text("4 candidates, 4 filtered")
    await expect(panel).to_contain_text("Blocked by the filter")
    await expect(panel.locator(".reason").first).to_contain_text("P(safe)")
    await expect(panel.get_by_text("UNSAFE reply 0")).to_be_hidden()  # shown on demand only
    await panel.get_by_text("Show what was filtered").first.click()
    await expect(panel.get_by_text("UNSAFE reply 0")).to_be_visible()
    assert await page.evaluate("document.documentElement.dataset.theme") == "dark"
    await shot(page, "filtered-dark")


async def test_stop_ends_the_turn_in_the_engine(open_page: Open, served: Running):
    page = await open_page()
    await ask(page, "slow 30")
    await page.get_by_role("button", name="Stop").click()
    await expect(page.locator(".reply")).to_have_text("Stopped.")
    await expect(page.get_by_role("button", name="Send")).to_be_visible()
    await eventually(lambda: served.agent.decoder.cancelled == 1)  # type: ignore[attr-defined]


async def test_conversations_are_kept_opened_again_and_deleted(open_page: Open):
    page = await open_page()
    await ask(page, "say the first one")
    await expect(page.get_by_role("button", name="Why this answer")).to_be_visible()
    await page.get_by_role("button", name="New conversation").click()
    await ask(page, "say the second one")
    sidebar = page.get_by_role("navigation", name="Conversations")
    await expect(sidebar.get_by_role("listitem")).to_have_count(2)
    await page.reload()
    await sidebar.get_by_role("button", name="say the first one", exact=True).click()
    await expect(page.locator(".reply .text")).to_have_text("the first one")
    await expect(page.get_by_role("heading", level=1)).to_have_text("say the first one")
    page.on("dialog", lambda dialog: dialog.accept())
    await sidebar.get_by_role("button", name="Delete “say the first one”").click()
    await expect(sidebar.get_by_role("listitem")).to_have_count(1)
    await expect(page.locator(".reply")).to_have_count(0)


async def test_a_role_is_picked_and_opens_the_conversation(open_page: Open):
    page = await open_page()
    await page.get_by_label("Role of the agent").select_option("everest")
    await expect(page.locator(".opening")).to_contain_text("Mount Everest")
    await ask(page, "hello")
    await page.get_by_role("button", name="Why this answer").click()
    await expect(page.get_by_role("complementary")).to_contain_text("Role: everest")
    await expect(page.get_by_label("Role of the agent")).to_be_disabled()


async def test_feedback_reaches_the_export(open_page: Open, served: Running):
    page = await open_page()
    await ask(page, "say something dull")
    await page.get_by_role("button", name="Bad answer").click()
    await page.get_by_text("Dull", exact=True).click()
    await page.get_by_label("A better answer").fill("Something bright.")
    await shot(page, "feedback")
    await page.get_by_role("button", name="Send feedback").click()
    await expect(page.get_by_role("button", name="Bad answer")).to_have_attribute("aria-pressed", "true")
    async with served.client() as client:
        exported = (await client.get("/v1/feedback/export")).text
    assert '"attribute":"interesting"' in exported
    assert "Something bright." in exported


async def test_untrusted_text_is_shown_and_never_becomes_markup(open_page: Open, served: Running):
    bad = '<img src=x onerror="window.broken=1"><script>window.broken=1</script>'

    class Hostile(Tool):
        name = "retrieval"
        description = "Returns what an attacker wrote."
        open_domain = True

        def run(self, query: str) -> list[Result]:
            text = f"The Oder is a river of Poland {bad}."
            return [Result(text=text, source=Source(title=f"Oder {bad}", url="javascript:window.broken=1"))]

    served.agent.toolset = Toolset([Hostile()])
    page = await open_page()
    await ask(page, f"say {bad}")
    await expect(page.locator(".reply .text")).to_have_text(bad)
    await expect(page.locator(".user p")).to_have_text(f"say {bad}")
    await ask(page, "What is the Oder?")
    await expect(page.get_by_role("button", name="Why this answer")).to_have_count(2)
    for button in await page.get_by_role("button", name="Why this answer").all():
        await button.click()
        await expect(page.get_by_role("complementary")).to_be_visible()
    for marker in await page.locator(".cite").all():
        await marker.hover()
    await page.reload()
    await page.locator("#conversations .open").first.click()
    await expect(page.locator(".user")).to_have_count(2)
    assert await page.evaluate("window.broken") is None
    assert (
        await page.locator("#log img:not([src='/web/icon.svg']), #log script, #why img, #conversations img").count()
        == 0
    )
    assert await page.locator("a[href^='javascript']").count() == 0
    assert await page.evaluate("try { document.body.innerHTML = '<b>x</b>'; 1 } catch { 'refused' }") == "refused"


async def test_without_a_key_the_page_asks_for_one(open_page: Open, served: Running):
    page = await open_page(key="")
    dialog = page.get_by_role("dialog", name="API key")
    await expect(dialog).to_be_visible()
    await shot(page, "key")
    await dialog.get_by_label("Key").fill("gl_wrong")
    await page.keyboard.press("Enter")
    await expect(dialog).to_contain_text("not valid")
    await dialog.get_by_label("Key").fill(served.key)
    await page.keyboard.press("Enter")
    await expect(dialog).to_be_hidden()
    await ask(page, "say hello there")
    await expect(page.locator(".reply .text")).to_have_text("hello there")


async def test_the_key_leaves_the_address_at_once(open_page: Open, served: Running):
    page = await open_page()
    await expect(page.get_by_label("Role of the agent")).to_have_value("assistant")
    assert page.url == f"{served.url}/"


async def test_a_link_does_not_replace_the_key_that_is_kept_without_asking(open_page: Open, served: Running):
    page = await open_page()
    await expect(page.get_by_label("Role of the agent")).to_have_value("assistant")
    other = await served.another_key()
    kept = "localStorage.getItem('groundling-key')"
    for answer, expected in (("Escape", served.key), ("Enter", other)):
        await page.goto("about:blank")
        await page.goto(f"{served.url}/#key={other}")
        dialog = page.get_by_role("dialog", name="API key")
        await expect(dialog).to_contain_text("another key than the one kept here")
        await expect(dialog.get_by_label("Key")).to_have_value(other)
        assert await page.evaluate(kept) == served.key
        assert page.url == f"{served.url}/"
        await page.keyboard.press(answer)
        await expect(dialog).to_be_hidden()
        assert await page.evaluate(kept) == expected


async def test_it_works_at_phone_width(open_page: Open):
    page = await open_page(width=375, height=740, has_touch=True, is_mobile=True, device_scale_factor=2)
    await ask(page, "Where does the Vistula flow?")
    await expect(page.locator(".cite")).to_be_visible()
    width = await page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert width[0] <= width[1]
    await shot(page, "phone")
    await page.get_by_role("button", name="Why this answer").click()
    await expect(page.get_by_role("complementary")).to_be_in_viewport()
    await shot(page, "phone-why")
    await page.get_by_role("button", name="Close", exact=True).click()
    await expect(page.get_by_label("Message", exact=True)).not_to_be_focused()  # its keyboard would hide the answer
    menu = page.locator("#open-sidebar")
    await expect(menu).to_have_attribute("aria-expanded", "false")
    await page.get_by_role("button", name="Conversations").click()
    await expect(menu).to_have_attribute("aria-expanded", "true")
    await expect(page.get_by_role("navigation")).to_be_in_viewport()
    await shot(page, "phone-conversations")
    await page.keyboard.press("Escape")
    await expect(menu).to_have_attribute("aria-expanded", "false")


async def test_it_can_be_used_by_keyboard_alone_and_says_what_things_are(open_page: Open):
    page = await open_page()
    await expect(page.get_by_label("Message", exact=True)).to_be_focused()
    await page.keyboard.type("What is 2 + 3?")
    await page.keyboard.press("Shift+Enter")
    await page.keyboard.type("Please.")
    await page.keyboard.press("Enter")
    await expect(page.locator(".reply .cite")).to_be_visible()
    await expect(page.get_by_label("Message", exact=True)).to_be_focused()
    reached = []
    for _ in range(12):
        await page.keyboard.press("Shift+Tab")
        reached.append(
            await page.evaluate(
                "document.activeElement.getAttribute('aria-label') || document.activeElement.textContent"
            )
        )
        if "Source 1" in str(reached[-1]):
            break
    assert {"Bad answer", "Good answer", "Copy", "Why this answer"} <= set(reached)
    await expect(page.get_by_role("tooltip")).to_contain_text("2 + 3 = 5")
    unnamed = await page.evaluate(
        """[...document.querySelectorAll('button, a, select, input, textarea')].filter((e) => e.checkVisibility()
           && !(e.getAttribute('aria-label') || e.textContent.trim() || e.labels?.length)).map((e) => e.outerHTML)"""
    )
    assert unnamed == []


async def test_an_error_is_told_and_the_page_goes_on(open_page: Open):
    page = await open_page()
    await ask(page, "down")
    await expect(page.locator(".reply.failed")).to_contain_text("engine cannot be reached")
    await ask(page, "say still here")
    await expect(page.locator(".reply .text").nth(1)).to_have_text("still here")


async def test_a_connection_that_breaks_is_told_and_what_was_typed_is_there_again(open_page: Open, served: Running):
    page = await open_page()
    await ask(page, "slow 30 about a river")
    await expect(page.get_by_role("status")).to_have_text("Writing 4 candidates…")
    served.drop_connections()
    await expect(page.locator(".reply.failed")).to_contain_text("The connection broke")
    box = page.get_by_label("Message", exact=True)
    await expect(box).to_have_value("slow 30 about a river")
    await expect(box).to_be_focused()
    await box.fill("say still here")
    await page.keyboard.press("Enter")
    await expect(page.locator(".reply .text").last).to_have_text("still here")
    await expect(box).to_have_value("")


async def test_another_key_leaves_nothing_of_whoever_was_there_before(open_page: Open, served: Running):
    other = await served.another_key()
    page = await open_page()
    await ask(page, "say a secret")
    await expect(page.get_by_role("button", name="Why this answer")).to_be_visible()
    await expect(page.get_by_role("navigation", name="Conversations")).to_contain_text("say a secret")
    await ask(page, "slow 30 for another secret")
    await page.get_by_label("Message", exact=True).fill("a secret draft")
    await page.get_by_role("button", name="Change key").click()
    await expect(page.locator(".user, .reply, #conversations li")).to_have_count(0)
    await page.get_by_role("dialog", name="API key").get_by_label("Key").fill(other)
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("Your conversations will be here.")).to_be_visible()
    await ask(page, "say hello from another")
    await expect(page.locator(".reply .text")).to_have_text(["hello from another"])
    await expect(page.locator("#conversations li")).to_have_text(["say hello from another✕"])
    assert "secret" not in await page.locator("body").inner_text()
    await eventually(lambda: served.agent.decoder.cancelled == 1)  # type: ignore[attr-defined]


async def test_a_long_conversation_is_shown_whole(open_page: Open, served: Running):
    async with served.client() as client:
        made = (await client.post("/v1/conversations", json={})).json()["id"]
        for i in range(5):
            await client.post("/v1/turns", json={"message": f"say {i}", "conversation": made})
    page = await open_page()

    async def ask_for_two(route: Route) -> None:  # as if the conversation had hundreds of turns
        await route.continue_(url=route.request.url.replace("limit=200", "limit=2"))

    await page.route("**/v1/conversations/*limit=200*", ask_for_two)
    await page.locator("#conversations .open").click()
    await expect(page.locator(".reply .text")).to_have_text(["0", "1", "2", "3", "4"])


async def test_all_conversations_can_be_listed(open_page: Open, served: Running):
    for i in range(230):
        await served.service.store.add_conversation(f"conv_{i}", served.key_id, title=f"Number {i}", role="assistant")
    page = await open_page()
    items = page.get_by_role("navigation", name="Conversations").get_by_role("listitem")
    await expect(items).to_have_count(100)
    await expect(items.first).to_contain_text("Number 229")
    older = page.get_by_role("button", name="Older conversations")
    await older.click()
    await expect(items).to_have_count(200)
    await older.click()
    await expect(items).to_have_count(230)
    await expect(items.last).to_contain_text("Number 0")
    await expect(older).to_be_hidden()
    await ask(page, "say one more")
    await expect(items).to_have_count(231)


async def test_escape_closes_a_panel_before_it_stops_the_answer(open_page: Open):
    page = await open_page()
    await ask(page, "say something")
    why = page.get_by_role("button", name="Why this answer")
    await expect(why).to_have_attribute("aria-expanded", "false")
    await ask(page, "slow 30")
    await why.click()
    panel = page.get_by_role("complementary", name="Why this answer")
    await expect(panel).to_be_visible()
    await expect(why).to_have_attribute("aria-expanded", "true")
    await page.keyboard.press("Escape")
    await expect(panel).to_be_hidden()
    await expect(why).to_have_attribute("aria-expanded", "false")
    await expect(page.get_by_role("button", name="Stop")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.locator(".reply").last).to_have_text("Stopped.")


async def test_an_answer_is_spoken_and_leaves_the_focus_where_it_is(open_page: Open):
    page = await open_page()
    await ask(page, "say the first one")
    await expect(page.locator("#spoken[aria-live=polite]")).to_have_text("Groundling: the first one")
    await ask(page, "slow 1 about nothing")
    await page.get_by_role("button", name="Why this answer").first.click()
    await expect(page.get_by_role("heading", name="Why this answer")).to_be_focused()
    await expect(page.get_by_role("button", name="Why this answer")).to_have_count(2)
    await expect(page.get_by_role("button", name="Send", exact=True)).to_be_visible()
    await expect(page.get_by_role("heading", name="Why this answer")).to_be_focused()
    await expect(page.locator("#spoken")).to_contain_text("slow 1 about nothing")


async def test_feedback_that_could_not_be_kept_is_still_there_to_send_again(open_page: Open):
    page = await open_page()
    await ask(page, "say something dull")

    async def fail(route: Route) -> None:
        await route.fulfill(status=503, json={"error": {"message": "The database cannot be used now."}})

    await page.route("**/feedback", fail)
    await page.get_by_role("button", name="Bad answer").click()
    better = page.get_by_label("A better answer")
    await better.fill("Something bright.")
    send = page.get_by_role("button", name="Send feedback")
    await send.click()
    await expect(page.get_by_role("status")).to_have_text("The database cannot be used now.")
    await expect(better).to_have_value("Something bright.")
    await page.unroute("**/feedback")
    await send.click()
    await expect(better).to_be_hidden()
    await expect(page.get_by_role("button", name="Bad answer")).to_have_attribute("aria-pressed", "true")


async def test_without_the_clipboard_of_safe_origins_an_answer_is_copied_all_the_same(open_page: Open):
    page = await open_page()
    await ask(page, "say copy me")
    await page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    await page.get_by_role("button", name="Copy", exact=True).click()
    await expect(page.get_by_role("status")).to_have_text("Copied.")
    box = page.get_by_label("Message", exact=True)
    await box.focus()
    await page.keyboard.press("Control+V")
    await expect(box).to_have_value("copy me")


async def test_the_conversation_that_was_clicked_last_is_shown_however_slow_others_are(
    open_page: Open, served: Running
):  # fmt: skip
    async with served.client() as client:
        for name in ("first", "second"):
            made = (await client.post("/v1/conversations", json={"title": name})).json()["id"]
            await client.post("/v1/turns", json={"message": f"say the {name} one", "conversation": made})
    page = await open_page()
    sidebar = page.get_by_role("navigation", name="Conversations")
    held: list[Route] = []

    async def hold(route: Route) -> None:
        if held:
            await route.continue_()
        else:
            held.append(route)

    await page.route("**/v1/conversations/conv_*", hold)
    await sidebar.get_by_role("button", name="first", exact=True).click()
    await eventually(lambda: held)
    await sidebar.get_by_role("button", name="second", exact=True).click()
    await expect(page.locator(".reply .text")).to_have_text("the second one")
    async with page.expect_response("**/v1/conversations/conv_*"):
        await held[0].continue_()
    await page.wait_for_timeout(100)
    await expect(page.locator(".reply .text")).to_have_text("the second one")


async def test_the_conversation_that_is_being_answered_can_be_deleted(open_page: Open, served: Running):
    page = await open_page()
    page.on("dialog", lambda dialog: dialog.accept())
    sidebar = page.get_by_role("navigation", name="Conversations")
    await ask(page, "say hello")
    await expect(sidebar.get_by_role("listitem")).to_have_count(1)
    await ask(page, "slow 30")
    await page.route(
        "**/v1/conversations/conv_*",
        lambda route: route.fulfill(status=503, json={"error": {"message": "Not now."}}),
        times=1,
    )
    delete = sidebar.get_by_role("button", name="Delete “say hello”")
    await delete.click()
    await expect(page.get_by_role("status")).to_have_text("Not now.")
    await expect(page.locator(".reply")).to_have_count(2)
    await delete.click()
    await expect(page.locator(".reply, #conversations li")).to_have_count(0)
    await expect(page.get_by_role("button", name="Send", exact=True)).to_be_visible()
    await eventually(lambda: served.agent.decoder.cancelled == 1)  # type: ignore[attr-defined]


async def kept_turns(served: Running) -> list[str]:
    async with served.client() as client:
        [made] = (await client.get("/v1/conversations")).json()["data"]
        turns = (await client.get(f"/v1/conversations/{made['id']}")).json()["turns"]
    return [turn["messages"][-1]["content"] for turn in turns]


async def test_a_message_whose_answer_was_lost_on_the_way_is_answered_once_when_it_is_sent_again(
    open_page: Open, served: Running
):  # fmt: skip
    page = await open_page()
    keys: list[str | None] = []
    page.on("request", lambda one: keys.append(one.headers.get("idempotency-key")) if "/turns" in one.url else None)

    async def lose(route: Route) -> None:  # after the turn was committed
        answer = await route.fetch()
        await route.fulfill(response=answer, body=(await answer.text()).split("event: turn")[0])

    async def no_gateway(route: Route) -> None:
        await route.fetch()
        await route.fulfill(status=504, body="<h1>Gateway Time-out</h1>")

    await page.route("**/v1/turns", no_gateway, times=1)  # the route of the second try
    await page.route("**/v1/turns", lose, times=1)
    await ask(page, "say it once")
    box = page.get_by_label("Message", exact=True)
    for told in ("The connection broke", "The service answered 504."):
        await expect(page.locator(".reply.failed")).to_contain_text(told)
        await expect(box).to_have_value("say it once")
        await page.keyboard.press("Enter")
    await expect(page.locator(".reply .text")).to_have_text(["it once"])
    await expect(page.locator(".user")).to_have_count(1)
    assert await kept_turns(served) == ["say it once"]
    await ask(page, "say it once")  # which is meant now
    await expect(page.locator(".reply .text")).to_have_text(["it once", "it once"])
    assert await kept_turns(served) == ["say it once", "say it once"]
    assert None not in keys
    assert [len(keys), len(set(keys))] == [4, 2]


async def test_a_message_that_is_found_answered_can_be_sent_anew(open_page: Open, served: Running):
    page = await open_page()

    async def lose(route: Route) -> None:
        answer = await route.fetch()
        await route.fulfill(response=answer, body=(await answer.text()).split("event: turn")[0])

    await page.route("**/v1/turns", lose, times=1)
    await ask(page, "say it twice")
    await expect(page.locator(".reply.failed")).to_contain_text("The connection broke")
    await page.get_by_role("button", name="say it twice", exact=True).click()
    await expect(page.locator(".reply .text")).to_have_text(["it twice"])
    await ask(page, "say it twice")
    await expect(page.locator(".reply .text")).to_have_text(["it twice", "it twice"])
    assert await kept_turns(served) == ["say it twice", "say it twice"]


async def test_a_failure_is_told_in_the_status_which_is_read_out(open_page: Open):
    page = await open_page()
    status = page.get_by_role("status")
    await expect(page.get_by_text("Your conversations will be here.")).to_be_visible()
    async with page.expect_response("**/v1/conversations?*"):
        await ask(page, "down")
        await expect(status).to_contain_text("engine cannot be reached")
    await page.route(
        "**/v1/conversations?*",
        lambda route: route.fulfill(status=503, json={"error": {"message": "Not now."}}),
    )
    async with page.expect_response("**/v1/conversations?*"):
        await ask(page, "down again")
    await page.wait_for_timeout(100)
    await expect(status).to_contain_text("engine cannot be reached")  # not what failed after it


async def test_the_list_keeps_the_focus_where_it_is_when_it_is_shown_anew(open_page: Open, served: Running):
    for name in ("last", "second", "first"):
        await served.service.store.add_conversation(f"conv_{name}", served.key_id, title=name, role="assistant")
    page = await open_page()
    page.on("dialog", lambda dialog: dialog.accept())
    sidebar = page.get_by_role("navigation", name="Conversations")
    await expect(sidebar.get_by_role("listitem")).to_have_count(3)
    await ask(page, "slow 0.5 about nothing")
    second = sidebar.get_by_role("button", name="second", exact=True)
    await second.focus()
    await expect(sidebar.get_by_role("listitem")).to_have_count(4)
    await expect(second).to_be_focused()
    await page.keyboard.press("Tab")
    for left in ("Delete “last”", "Delete “first”", "Delete “slow 0.5 about nothing”"):
        await page.keyboard.press("Enter")
        await expect(sidebar.get_by_role("button", name=left, exact=True)).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(sidebar.get_by_role("listitem")).to_have_count(0)
    await expect(page.get_by_label("Message", exact=True)).to_be_focused()


async def test_a_conversation_that_was_opened_is_announced_and_ready_to_be_written_in(open_page: Open):
    page = await open_page()
    await ask(page, "say something")
    sidebar = page.get_by_role("navigation", name="Conversations")
    opened = sidebar.get_by_role("button", name="say something", exact=True)
    await expect(opened).to_have_attribute("aria-current", "true")
    await page.get_by_role("button", name="+ New conversation", exact=True).click()
    await expect(sidebar.locator("[aria-current]")).to_have_count(0)
    await opened.focus()
    await page.keyboard.press("Enter")
    await expect(page.locator("#spoken[aria-live=polite]")).to_have_text("Opened “say something”.")
    await expect(opened).to_have_attribute("aria-current", "true")
    await expect(page.get_by_label("Message", exact=True)).to_be_focused()


@pytest.mark.parametrize("failures", [1, 2])
async def test_without_the_roles_at_first_or_at_all_the_page_answers(open_page: Open, failures: int):
    page = await open_page()
    role = page.get_by_label("Role of the agent")
    await expect(role).to_have_value("assistant")
    await page.route(
        "**/v1/roles",
        lambda route: route.fulfill(status=503, json={"error": {"message": "Not now."}}),
        times=failures,
    )
    await page.reload()
    await expect(page.get_by_role("status")).to_have_text("Not now.")
    await expect(page.locator("#examples").get_by_role("button")).to_have_count(3)
    await ask(page, "say hello")
    await expect(page.locator(".reply .text")).to_have_text("hello")
    await expect(role).to_have_value("assistant" if failures == 1 else "")


async def test_while_an_answer_runs_the_page_says_why_no_other_conversation_opens(open_page: Open):
    page = await open_page()
    await ask(page, "say something")
    await expect(page.get_by_role("button", name="say something", exact=True)).to_be_visible()
    status = page.get_by_role("status")
    for name in ("say something", "+ New conversation"):
        await ask(page, "slow 30")
        await expect(status).to_have_text("Writing 4 candidates…")
        await page.get_by_role("button", name=name, exact=True).click()
        await expect(status).to_have_text("Stop the answer first.")
        await page.get_by_role("button", name="Stop", exact=True).click()
        await expect(status).to_have_text("Stopped.")


async def test_at_phone_width_the_way_to_stop_the_answer_is_not_hidden_by_the_conversations(open_page: Open):
    page = await open_page(width=375, height=740, has_touch=True, is_mobile=True)
    await ask(page, "slow 30")
    await page.get_by_role("button", name="Conversations", exact=True).click()
    await page.get_by_role("button", name="+ New conversation", exact=True).click()
    await expect(page.get_by_role("status")).to_have_text("Stop the answer first.")
    await expect(page.get_by_role("navigation", name="Conversations")).not_to_be_in_viewport()
    await expect(page.get_by_role("button", name="Stop", exact=True)).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("status")).to_have_text("Stopped.")
