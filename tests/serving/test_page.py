"""The page to try a service, in a browser; and what its address and description say."""

from __future__ import annotations

import json

import numpy as np
import pytest

from . import bundles


def test_the_page_fetches_nothing_from_elsewhere(serving):
    client = serving()
    kinds = {"/": "text/html", "/try.js": "text/javascript", "/try.css": "text/css"}
    for path, kind in kinds.items():
        answer = client.get(path)
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].startswith(kind)
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert "unsafe" not in answer.headers["Content-Security-Policy"]
        assert "http://" not in answer.text
        assert "https://" not in answer.text


def test_the_description_names_each_endpoint(serving, bundle):
    client = serving(explain=True)
    document = client.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    assert {"/predict", "/embed", "/explain", "/models", "/metrics"} <= set(document["paths"])
    assert "/similar" not in document["paths"]
    for path, methods in document["paths"].items():
        for method in methods:
            address = path.replace("{model}", "pets")
            assert client.request(method, address).status_code in (200, 400)
    assert "security" not in document
    assert serving(token="0123456789abcdef").get("/openapi.json").json()["security"]


def picture(tmp_path, color):
    file = tmp_path / f"{color[0]}.png"
    file.write_bytes(bundles.encoded(np.full((30, 40, 3), color, dtype=np.uint8)))
    return file


@pytest.mark.browser
def test_pictures_are_answered_in_a_browser(listening_service, tmp_path):
    from playwright.sync_api import sync_playwright

    names = ("</script><script>document.title='broken'</script>", "\u202ecat", "🦆 'duck' \"")
    path = bundles.write(tmp_path / "names.lamp", bundles.classifier(names=names, threshold=0.9))
    address = listening_service(path, explain=True)
    asked, faults = [], []
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 900, "height": 900})
        page.on("request", lambda one: asked.append(one.url))
        page.on("console", lambda one: one.type == "error" and faults.append(one.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(address)
        page.check("#explain")
        pictures = [picture(tmp_path, color) for color in ((200, 30, 30), (3, 99, 250))]
        page.set_input_files("#files", pictures)
        page.wait_for_selector("#answers li:nth-child(2) canvas")
        page.wait_for_selector("#answers li:nth-child(1) canvas")
        shown = page.inner_text("#answers")
        assert page.title() == "Lamplighter"
        assert any(name in shown for name in names) or "unknown" in shown
        assert names[0] in page.inner_text("#about")
        bad = tmp_path / "bad.png"
        bad.write_bytes(b"no image")
        page.uncheck("#explain")
        page.set_input_files("#files", [bad])
        page.wait_for_selector("#answers .error")
        assert "bad.png must be an image" in page.inner_text("#answers .error")
        page.screenshot(path=str(tmp_path / "page.png"))
        browser.close()
    assert all(url.startswith((address, "data:", "blob:")) for url in asked)
    assert any(url.startswith(f"{address}/predict") for url in asked)
    faults = [fault for fault in faults if "415" not in fault]  # the browser tells of the status
    assert faults == [], json.dumps(faults)
