"""Request checks of the dashboard: accepted hosts, refused requests, and security headers for browsers."""

from __future__ import annotations

from run_records.s3_store import S3Store
from tests.support.many_runs import seed_runs
from tests.support.served import Dashboard, Start

PAGES = ("/jobs", "/queues", "/workers", "/submit", "/static/live.js", "/nowhere")


def test_a_name_that_was_rebound_to_this_machine_gets_nothing(start: Start) -> None:
    dashboard = start(allow_actions=True)
    named = f"evil.example:{dashboard.port}"
    for host in (
        named,
        "127.0.0.1",
        "127.0.0.1:1",
        f"localhost.{named}",
        f"127.0.0.1:{dashboard.port}@{named}",
    ):
        for path in PAGES:
            answer = dashboard.get(path, Host=host)
            assert answer.status == 421, (host, path)
            assert "<html" not in answer.text


def test_both_names_of_this_machine_are_answered(dashboard: Dashboard) -> None:
    for name in ("127.0.0.1", "localhost", "LOCALHOST"):
        assert dashboard.get("/jobs", Host=f"{name}:{dashboard.port}").status == 200


def test_a_post_of_another_page_is_refused_even_with_the_token(start: Start) -> None:
    dashboard = start(allow_actions=True)
    body = f"token={dashboard.site.token.text}&job_name=a"
    foreign: tuple[dict[str, str], ...] = (
        {},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": f"https://127.0.0.1:{dashboard.port}"},
        {"Origin": f"http://localhost:{dashboard.port}"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": dashboard.origin, "Sec-Fetch-Site": "cross-site"},
    )
    for headers in foreign:
        assert dashboard.ask("POST", "/submit", body, headers).status == 403, headers
    assert dashboard.ask("POST", "/submit", body, {"Origin": dashboard.origin}).status == 200


def test_a_form_of_our_own_page_needs_this_process_token(start: Start) -> None:
    dashboard = start(allow_actions=True)
    letter = "/queues/train/letters/some"
    for path in ("/submit", "/submit/send", "/runs/some/cancel", f"{letter}/redrive", f"{letter}/delete"):
        for token in ("", "x", "ä", "a" * 43):
            assert dashboard.post(path, {"job_name": "a", "token": token}).status == 403, path
    assert dashboard.post("/submit", {"job_name": "a"}).status == 200


def test_a_form_that_no_person_fills_in_is_refused(start: Start) -> None:
    dashboard = start(allow_actions=True)
    assert dashboard.post("/submit", {"job_name": "a" * 300_000}).status == 413
    many = "&".join(f"f{n}=1" for n in range(1000))
    answer = dashboard.ask("POST", "/submit", many, {"Origin": dashboard.origin})
    assert answer.status == 400


def test_browsers_are_told_what_to_refuse(dashboard: Dashboard) -> None:
    for path in (*PAGES, "/theme.css"):
        headers = dashboard.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-frame-options"] == "DENY"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["cache-control"] == ("no-cache" if path.startswith("/static") else "no-store")


def test_what_hides_messages_is_not_started_by_another_page(dashboard: Dashboard) -> None:
    for path in ("/queues/train/oldest", "/queues/train/letters"):
        for site in ("cross-site", "same-site"):
            assert dashboard.get(path, **{"Sec-Fetch-Site": site}).status == 403
        assert dashboard.get(path, **{"Sec-Fetch-Site": "same-origin"}).status == 200


def test_without_actions_nothing_that_changes_anything_can_be_reached_or_seen(
    dashboard: Dashboard, storage: S3Store
) -> None:
    [job, *_] = seed_runs(dashboard.client, storage, 20, 1)
    running = next(
        run.job_id
        for run in dashboard.client.list_newest_jobs(["running", "interrupted", "succeeded"], 9).items
    )
    for path in (f"/runs/{job}/cancel", "/submit", "/submit/send", "/queues/train/letters/x/redrive"):
        assert dashboard.get(path).status == 404, path
        assert dashboard.post(path).status in {404, 405}, path
    for path in ("/jobs", "/queues", "/workers", f"/runs/{running}", "/queues/train/letters"):
        page = dashboard.get(path).text
        assert 'method="post"' not in page, path
        assert dashboard.site.token.text not in page, path
        assert "read-only" in page, path


def test_a_defect_has_a_page_with_all_headers_and_the_next_page_comes(start: Start) -> None:
    dashboard = start()
    object.__setattr__(dashboard.sources, "settings", None)
    answer = dashboard.get("/queues")
    assert answer.status == 500
    assert "please report it" in answer.text
    assert "Traceback" not in answer.text
    assert "content-security-policy" in answer.headers
    assert dashboard.get("/jobs").status == 200
