"""In a real browser the page gives Python's pictures, by keyboard, on a phone, from the camera and offline."""

import base64
import io
import re
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from export.errors import ExportError
from export.runtime.stylizer import Stylizer
from export.web.build import build_site
from export.web.onnxruntime_web import find_runtime
from tests.export.web.browser import Server, set_viewport, wait
from tests.pictures import flat, noise, ramp, write

TIMES = "\N{MULTIPLICATION SIGN}"


@pytest.fixture(scope="module")
def site(wave, starry, tmp_path_factory):
    try:
        runtime = find_runtime().folder
    except ExportError as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("web") / "site"
    build_site([wave, starry], folder, runtime=runtime)
    return folder


@pytest.fixture(scope="module")
def address(site):
    server = Server(site)
    yield server.address
    server.stop()


def find(driver, identity):
    return driver.find_element("id", identity)


def text(driver, identity):
    return driver.execute_script("return document.getElementById(arguments[0]).textContent", identity)


def state(driver):
    return driver.execute_script("return document.getElementById('stage').dataset.state")


def load(driver, address):
    """Open the page and wait until all it needs is kept."""
    driver.get(address)
    wait(lambda: driver.execute_script("return document.body.dataset.offline === 'true'"), "the page to be kept")


def forget_state(driver):
    """Let nobody take the last picture's end for the next one's."""
    driver.execute_script("document.getElementById('stage').dataset.state = 'asked'")


def paint(driver, path):
    forget_state(driver)
    find(driver, "file").send_keys(str(path))
    wait(lambda: state(driver) in {"done", "error"}, f"'{path.name}' to be painted")
    assert state(driver) == "done", text(driver, "error")


def save(driver, name):
    find(driver, "save").click()
    wait((driver.downloads / name).is_file, f"'{name}' to be saved")
    with PIL.Image.open(driver.downloads / name) as image:
        assert image.mode in {"RGB", "RGBA"}
        return np.asarray(image.convert("RGB"))


def differ(one, other):
    assert one.shape == other.shape
    return np.abs(one.astype(int) - other.astype(int)).max()


UNTOUCHED = """
  const value = (id) => document.getElementById(id)?.value;
  return document.querySelector("input[name=style]")?.checked && value("size") === "768" && value("split") === "50";
"""


@pytest.fixture
def page(chromium, address):
    set_viewport(chromium, 1280, 800)
    # Loading takes seconds, so a page that is as it was when loaded serves the next test, too.
    if chromium.current_url != address or not chromium.execute_script(UNTOUCHED):
        load(chromium, address)
    return chromium


def choose(driver, identity, value):
    driver.execute_script(
        "const select = document.getElementById(arguments[0]); select.value = arguments[1];"
        "select.dispatchEvent(new Event('change', { bubbles: true }))",
        identity,
        value,
    )


# The second is smaller than the network takes.
@pytest.mark.parametrize(("width", "height"), [(131, 97), (24, 10)])
def test_saved_picture_is_pythons(page, wave, tmp_path, width, height):
    pixels = (ramp(width, height) // 2 + noise(width, height) // 2).astype(np.uint8)
    paint(page, write(tmp_path / f"photo{width}.png", pixels))
    saved = save(page, f"photo{width}-wave.png")
    expected = Stylizer(wave / "style.onnx", threads=1)(pixels)
    assert differ(saved, expected) <= 2
    assert differ(saved, pixels) > 20
    assert re.fullmatch(rf"(\d+ ms|\d+\.\d s) for {width} {TIMES} {height} pixels", text(page, "status"))


CHANGE = """
  const [identity, value] = arguments;
  const input = document.getElementById(identity);
  input.value = value;
  for (const kind of ["input", "change"]) {
    input.dispatchEvent(new Event(kind, { bubbles: true }));
  }
"""


def turn(driver, identity, value):
    """Move a slider, and wait for the picture."""
    forget_state(driver)
    driver.execute_script(CHANGE, identity, value)
    wait(lambda: state(driver) == "done", f"{identity} {value}")


def choose_style(driver, name):
    radio = driver.find_element("css selector", f"input[value={name}]")
    if not radio.is_selected():
        forget_state(driver)
        radio.send_keys(" ")
        wait(lambda: state(driver) == "done", name)


@pytest.fixture
def controls(page):
    """Return the page, and set its controls back afterwards."""
    yield page
    if find(page, "reset").is_displayed():
        find(page, "reset").click()
    choose_style(page, "wave")


def test_strength_is_pythons(controls, starry, tmp_path):
    photo = (ramp(131, 97) // 2 + noise(131, 97) // 2).astype(np.uint8)
    paint(controls, write(tmp_path / "strong.png", photo))
    assert not find(controls, "strength").is_enabled()
    assert find(controls, "strength-note").text == "This style was trained for one strength only."
    choose_style(controls, "starry_night")
    assert find(controls, "strength").is_enabled()
    assert not find(controls, "strength-note").is_displayed()
    stylizer = Stylizer(starry / "style.onnx", threads=1)
    for strength in (0, 0.7, 1.5):
        turn(controls, "strength", strength)
        expected = photo if strength == 0 else stylizer(photo, strength=strength)
        assert differ(shown(controls, "painted"), expected) <= 2
    assert differ(shown(controls, "painted"), stylizer(photo)) > 5
    assert find(controls, "strength").get_attribute("aria-valuetext") == "150%"
    # Where nothing is painted the size of strokes changes nothing.
    turn(controls, "stroke", 1)
    turn(controls, "strength", 0)
    assert differ(shown(controls, "painted"), photo) <= 2


# Each step of the slider is a factor of the square root of two.
@pytest.mark.parametrize("step", [-1, 0.5, 1, 2])
def test_stroke_size_is_pythons(controls, wave, tmp_path, step):
    photo = (ramp(131, 97) // 2 + noise(131, 97) // 2).astype(np.uint8)
    paint(controls, write(tmp_path / f"stroke{step}.png", photo))
    turn(controls, "stroke", step)
    stylizer = Stylizer(wave / "style.onnx", threads=1)
    assert differ(shown(controls, "painted"), stylizer(photo, stroke=2**step)) <= 2
    assert differ(shown(controls, "painted"), stylizer(photo)) > 20


def test_kept_colors_are_pythons_and_need_no_painting(controls, wave, tmp_path):
    photo = (ramp(131, 97) // 2 + noise(131, 97) // 2).astype(np.uint8)
    paint(controls, write(tmp_path / "colors.png", photo))
    before = shown(controls, "painted")
    find(controls, "preserve-color").click()
    expected = Stylizer(wave / "style.onnx", threads=1)(photo, preserve_color=True)
    assert differ(shown(controls, "painted"), expected) <= 2
    assert differ(save(controls, "colors-wave.png"), expected) <= 2
    find(controls, "preserve-color").click()
    np.testing.assert_array_equal(shown(controls, "painted"), before)


def test_reset_brings_back_the_style_as_trained(controls, tmp_path):
    paint(controls, write(tmp_path / "reset.png", ramp(64, 48)))
    before = shown(controls, "painted")
    assert not find(controls, "reset").is_displayed()
    turn(controls, "stroke", 1)
    find(controls, "preserve-color").click()
    forget_state(controls)
    find(controls, "reset").click()
    wait(lambda: state(controls) == "done", "the style as trained")
    np.testing.assert_array_equal(shown(controls, "painted"), before)
    assert not find(controls, "preserve-color").is_selected()


def test_another_style_repaints_the_same_photo(page, starry, tmp_path):
    paint(page, write(tmp_path / "other.png", ramp(64, 48)))
    choose_style(page, "starry_night")
    saved = save(page, "other-starry_night.png")
    assert differ(saved, Stylizer(starry / "style.onnx", threads=1)(ramp(64, 48))) <= 2


# What the page asks of its worker is noted, and can be held back.
WATCH_WORKER = """
  if (!window.asked) {
    const post = Worker.prototype.postMessage;
    Worker.prototype.postMessage = function (message, transfer) {
      const send = () => post.call(this, message, transfer);
      if (message.type !== "paint") {
        return send();
      }
      window.asked.push({ small: message.small, red: message.pixels?.[0] });
      window.held ? window.held.push(send) : send();
    };
  }
  window.asked = [];
  window.held = arguments[0] ? [] : null;
"""
RELEASE = "const held = window.held; window.held = null; for (const send of held) send();"


SHOWN = """
  const canvas = document.getElementById(arguments[0]);
  return [...canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data];
"""


def shown(driver, identity):
    """Return the pixels of a canvas."""
    shape = [int(find(driver, identity).get_attribute(side)) for side in ("height", "width")]
    return np.array(driver.execute_script(SHOWN, identity), np.uint8).reshape(*shape, 4)[..., :3]


def thumbnails(driver):
    """Return those that are painted, by the style's name."""
    found = driver.execute_script(
        "return [...document.querySelectorAll('.style:has(canvas):not(.waiting)')].map((card) => {"
        "  const canvas = card.querySelector('canvas');"
        "  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);"
        "  return [card.querySelector('input').value, canvas.height, canvas.width, [...data]];"
        "})"
    )
    return {name: np.array(data, np.uint8).reshape(height, width, 4)[..., :3] for name, height, width, data in found}


def test_all_styles_are_painted_small_on_the_persons_own_photo(page, wave, starry, tmp_path):
    page.execute_script(WATCH_WORKER, False)
    photo = ramp(240, 180)
    paint(page, write(tmp_path / "own.png", photo))
    found = wait(lambda: len(both := thumbnails(page)) == 2 and both, "both thumbnails")
    for name, folder in (("wave", wave), ("starry_night", starry)):
        assert differ(found[name], Stylizer(folder / "style.onnx", threads=1)(photo)) <= 2
    assert [bool(message["small"]) for message in page.execute_script("return window.asked")] == [False, True, True]


def test_thumbnails_of_an_earlier_photo_are_not_painted_any_more(page, tmp_path):
    page.execute_script(WATCH_WORKER, True)
    for shade in (40, 200):
        find(page, "file").send_keys(str(write(tmp_path / f"{shade}.png", flat((shade, 90, 90), 240, 180))))
        wait(lambda shade=shade: page.execute_script(SHOWN, "photo")[0] == shade, f"{shade}.png")
    forget_state(page)
    page.execute_script(RELEASE)
    wait(lambda: state(page) == "done" and len(thumbnails(page)) == 2, "the second photo and its thumbnails")
    asked = page.execute_script("return window.asked.map(({ small, red }) => [Boolean(small), red])")
    assert asked == [[False, 40], [False, 200], [True, 200], [True, 200]]


def test_thumbnails_out_of_sight_wait_until_they_are_scrolled_to(page, tmp_path):
    set_viewport(page, 390, 240, phone=True)
    page.execute_script(WATCH_WORKER, False)
    paint(page, write(tmp_path / "high.png", ramp(90, 160)))
    page.execute_async_script("setTimeout(arguments[0], 100)")
    assert thumbnails(page) == {}
    page.execute_script("document.getElementById('styles').scrollIntoView({ block: 'center' })")
    wait(lambda: len(thumbnails(page)) == 2, "the thumbnails")
    page.execute_script("scrollTo(0, 0)")


def test_page_paints_in_several_threads(page):
    assert page.execute_script("return crossOriginIsolated")
    cores = page.execute_script("return navigator.hardwareConcurrency")
    assert f"{min(cores, 4)} thread" in text(page, "device") or cores > 8


def test_photo_of_a_turned_camera_comes_out_upright_and_no_larger_than_chosen(page, tmp_path):
    choose(page, "size", "512")
    paint(page, write(tmp_path / "turned.jpg", ramp(400, 600), orientation=6))
    assert f"341 {TIMES} 512" in text(page, "status")
    photo = page.execute_script(
        "const c = document.getElementById('photo'); return [...c.getContext('2d').getImageData(330, 10, 1, 1).data]"
    )
    # Red rises to the right, green downwards.
    assert photo[0] > 220
    assert photo[1] < 40


def test_what_is_no_picture_is_refused_in_one_sentence(page, tmp_path):
    (tmp_path / "letter.jpg").write_text("Dear reader")
    forget_state(page)
    find(page, "file").send_keys(str(tmp_path / "letter.jpg"))
    wait(lambda: state(page) == "error", "the error")
    assert text(page, "error") == (
        "'letter.jpg' is not a picture that this browser can read; choose a JPEG, PNG or WebP file."
    )
    paint(page, write(tmp_path / "after.png", ramp()))
    assert not find(page, "error").is_displayed()
    find(page, "file").send_keys(str(tmp_path / "letter.jpg"))
    wait(lambda: state(page) == "error", "the error")
    assert find(page, "save").is_enabled()


def test_a_size_that_the_browser_cannot_draw_is_told_and_a_smaller_one_is_painted(page, tmp_path):
    # As phones do with a canvas of many pixels.
    page.execute_script(
        "window.draws = OffscreenCanvas.prototype.getContext; OffscreenCanvas.prototype.getContext = "
        "function (...options) { return this.width > 1024 ? null : window.draws.apply(this, options); }"
    )
    try:
        paint(page, write(tmp_path / "large.png", ramp(1025, 40)))
        choose(page, "size", "full")
        wait(lambda: state(page) == "error", "the error", 20)
        assert text(page, "error") == f"This browser cannot draw 1025 {TIMES} 40 pixels; choose a smaller long side."
        choose(page, "size", "512")
        wait(lambda: state(page) == "done", "the smaller picture", 20)
    finally:
        page.execute_script("OffscreenCanvas.prototype.getContext = window.draws")


def test_the_photo_chosen_last_stays_although_an_earlier_one_takes_longer_to_read(page, tmp_path):
    page.execute_script(
        "const read = createImageBitmap; window.createImageBitmap = async (...options) => {"
        "  window.createImageBitmap = read; const slow = await read(...options);"
        "  await new Promise((resolve) => (window.finish = resolve)); return slow; }"
    )
    find(page, "file").send_keys(str(write(tmp_path / "first.png", ramp(64, 48))))
    wait(lambda: page.execute_script("return Boolean(window.finish)"), "the first photo to be read")
    paint(page, write(tmp_path / "second.png", ramp(48, 32)))
    page.execute_async_script("window.finish(); setTimeout(arguments[0], 500)")
    wait(lambda: state(page) == "done", "the painting")
    assert page.execute_script("return document.getElementById('photo').width") == 48


def test_everything_is_reached_by_keys_and_the_arrows_move_the_slider(page, tmp_path):
    from selenium.webdriver import ActionChains, Keys

    paint(page, write(tmp_path / "photo.png", ramp()))
    reached = []
    page.execute_script("document.activeElement.blur()")
    for _ in range(9):
        ActionChains(page).send_keys(Keys.TAB).perform()
        reached.append(page.switch_to.active_element.get_attribute("id") or "style")
    assert reached == ["split", "file", "camera", "style", "stroke", "preserve-color", "size", "format", "save"]
    stroke = find(page, "stroke")
    forget_state(page)
    stroke.send_keys(Keys.ARROW_RIGHT)
    wait(lambda: state(page) == "done", "larger strokes")
    assert stroke.get_attribute("aria-valuetext") == f"1.4{TIMES}"
    find(page, "preserve-color").send_keys(" ")
    assert find(page, "preserve-color").is_selected()
    forget_state(page)
    find(page, "reset").send_keys(Keys.ENTER)
    wait(lambda: state(page) == "done", "the style as trained")
    assert page.switch_to.active_element == stroke
    split = find(page, "split")
    split.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert split.get_attribute("value") == "53"
    assert split.get_attribute("aria-valuetext").startswith("53 %")
    edge = page.execute_script(
        "const [d, f] = ['.divider', '#frame'].map((s) => document.querySelector(s).getBoundingClientRect());"
        "return (d.left + d.width / 2 - f.left) / f.width"
    )
    assert edge == pytest.approx(0.53, abs=0.005)


def test_every_control_has_a_name(page):
    nameless = page.execute_script(
        "return [...document.querySelectorAll('input, select, button')].filter((e) => !e.ariaLabel && "
        "!e.labels?.[0]?.textContent.trim() && !e.textContent.trim()).map((e) => e.outerHTML)"
    )
    assert nameless == []


def box(driver, identity):
    return driver.execute_script("return document.getElementById(arguments[0]).getBoundingClientRect()", identity)


def test_phone_shows_the_picture_and_the_buttons_while_the_rest_scrolls(page, tmp_path):
    set_viewport(page, 390, 844, scale=2, phone=True)
    paint(page, write(tmp_path / "photo.png", ramp(300, 200)))
    assert page.execute_script("return document.documentElement.scrollWidth") == 390
    frame = box(page, "frame")
    assert frame["width"] == pytest.approx(390, abs=1)
    shot = np.asarray(PIL.Image.open(io.BytesIO(page.get_screenshot_as_png())).convert("RGB"))
    assert shot.shape == (1688, 780, 3)
    row = shot[int(2 * (frame["y"] + frame["height"] / 4))]
    # Left of the divider lies the photo, whose red rises to the right as it was drawn.
    assert differ(row[40:360:40, 0], np.arange(40, 360, 40) * 255 / 779) <= 4
    set_viewport(page, 390, 600, scale=2, phone=True)
    page.execute_script("scrollTo(0, document.documentElement.scrollHeight)")
    assert page.execute_script("return scrollY") > 50
    for identity in ("frame", "choose", "camera", "save", "size", "format"):
        place = box(page, identity)
        assert place["left"] >= 0, identity
        assert place["right"] <= 391, identity
        assert place["top"] >= 0, identity
        assert place["bottom"] <= 600, identity
        seen = page.execute_script(
            "return document.elementFromPoint(...arguments).closest('#frame, label, button, select').id",
            (place["left"] + place["right"]) / 2,
            (place["top"] + place["bottom"]) / 2,
        )
        assert seen == identity
    page.execute_script("scrollTo(0, 0)")
    low = page.execute_script(
        "return [...document.querySelectorAll('.style, .button, select, .slider input, .switch label')]"
        ".filter((e) => e.offsetParent && e.getBoundingClientRect().height < 40).map((e) => e.outerHTML)"
    )
    assert low == []


def start_camera(driver):
    choose(driver, "size", "512")
    find(driver, "camera").click()
    wait(lambda: state(driver) == "live", "the first frame")


def test_camera_is_painted_live_and_its_picture_kept(page):
    start_camera(page)
    assert re.fullmatch(rf"(\d+ ms|\d+\.\d s) a frame of 256 {TIMES} 144 pixels", text(page, "status"))
    wait(lambda: re.fullmatch(r"\d+(\.\d)? fps", text(page, "rate")), "frames per second")
    find(page, "snap").click()
    wait(lambda: state(page) == "done", "the picture")
    assert re.search(rf"512 {TIMES} \d+ pixels", text(page, "status"))
    assert find(page, "camera").is_displayed()
    assert not find(page, "live").is_displayed()


def test_a_photo_after_a_camera_that_failed_is_no_mirror_image_and_one_question_is_asked_at_a_time(page, tmp_path):
    page.execute_script("""
      const devices = navigator.mediaDevices, ask = devices.getUserMedia.bind(devices);
      window.asked = 0;
      devices.getUserMedia = async (wanted) => {
        window.asked += 1;
        await new Promise((done) => setTimeout(done, 300));
        return ask(wanted);
      };
    """)
    find(page, "camera").click()
    find(page, "camera").click()
    wait(lambda: state(page) == "live", "the first frame")
    assert page.execute_script("return window.asked") == 1
    assert "mirrored" in find(page, "frame").get_attribute("class")
    page.execute_script("""
      navigator.mediaDevices.getUserMedia = async () => { throw new DOMException("busy", "NotReadableError"); };
      document.getElementById("turn").hidden = false;
    """)
    find(page, "turn").click()
    wait(lambda: state(page) == "error", "the error")
    page.execute_script("delete navigator.mediaDevices.getUserMedia")
    paint(page, write(tmp_path / "after.png", ramp()))
    assert "mirrored" not in find(page, "frame").get_attribute("class")


PLAY = """
  const [encoded, done] = arguments;
  const bytes = Uint8Array.from(atob(encoded), (letter) => letter.charCodeAt(0));
  const video = document.createElement("video");
  video.src = URL.createObjectURL(new Blob([bytes]));
  video.onerror = () => done(video.error.message);
  video.onseeked = () => {
    const small = new OffscreenCanvas(64, 36).getContext("2d");
    small.drawImage(video, 0, 0, 64, 36);
    done([video.videoWidth, video.videoHeight, [...small.getImageData(0, 0, 64, 36).data]]);
  };
  video.onloadeddata = () => (video.currentTime = 0.01);
"""
VIDEOS = {".mp4", ".webm"}


def test_painted_camera_is_recorded_to_a_file_that_plays(page):
    page.set_script_timeout(60)
    # An earlier test's error is hidden, but its text stays.
    page.execute_script("document.getElementById('error').textContent = ''")
    start_camera(page)
    find(page, "record").click()
    assert text(page, "record") == "Stop recording"
    wait(lambda: text(page, "recording") in {"0:01", "0:02", "0:03"}, "a second")
    shown = {name: np.reshape(page.execute_script(SHOWN, name), (-1, 4))[:, :3] for name in ("photo", "painted")}
    find(page, "record").click()
    videos = [page.downloads / f"camera-wave{ending}" for ending in VIDEOS]
    wait(lambda: text(page, "error") or any(map(Path.is_file, videos)), "the video")
    assert text(page, "error") == ""
    (file,) = filter(Path.is_file, videos)
    find(page, "stop").click()
    played = page.execute_async_script(PLAY, base64.b64encode(file.read_bytes()).decode())
    assert isinstance(played, list), played
    width, height, data = played
    assert (width, height) == (640, 360)
    average = np.reshape(data, (-1, 4))[:, :3].mean(0)
    # The test picture of the camera moves, but its colors, and those of its painting, stay.
    away = {name: np.abs(average - pixels.mean(0)).max() for name, pixels in shown.items()}
    assert away["painted"] < 10 < away["photo"]


def test_page_paints_after_the_network_is_gone(chromium, site, wave, tmp_path):
    server = Server(site)
    set_viewport(chromium, 1280, 800)
    load(chromium, server.address)
    server.stop()
    # Nor may the browser's own cache help out.
    chromium.execute_cdp_cmd("Network.clearBrowserCache", {})
    chromium.get(server.address)
    wait(lambda: state(chromium) == "idle", "the page")
    paint(chromium, write(tmp_path / "offline.png", ramp(80, 60)))
    assert differ(save(chromium, "offline-wave.png"), Stylizer(wave / "style.onnx", threads=1)(ramp(80, 60))) <= 2
    assert chromium.execute_script("return crossOriginIsolated")
