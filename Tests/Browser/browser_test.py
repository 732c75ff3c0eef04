#!/usr/bin/env python3
"""Drives the console page in headless Chromium: `make browser-test`. Needs chromium, chromium-driver and `pip install selenium`.

With --genrec it starts the server; with --url it uses a running one. Screenshots go to --screenshots, for review.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

failures = []


def expect(what, holds, detail=""):
    print(f"{'ok    ' if holds else 'FAILED'} {what} {'' if holds else detail}", flush=True)
    if not holds:
        failures.append(what)


def browser(width, dark=False):
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--force-device-scale-factor=1"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService("/usr/bin/chromedriver"))
    # Windows are at least 500 pixels wide; the page may be narrower.
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False})
    if dark:
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]})
    return driver


def wait(driver, condition, seconds=20):
    return WebDriverWait(driver, seconds).until(lambda _: condition())


def text(driver, name):
    return driver.find_element(By.ID, name).text


CONTRAST = """
const channel = value => { value /= 255; return value <= .03928 ? value / 12.92 : ((value + .055) / 1.055) ** 2.4; };
const luminance = color => { const [r, g, b] = color.match(/[\\d.]+/g).map(Number); return .2126 * channel(r) + .7152 * channel(g) + .0722 * channel(b); };
const back = node => { for (; node; node = node.parentElement) { const color = getComputedStyle(node).backgroundColor; if (!/, 0\\)$/.test(color) && color !== "transparent") return color; } return "rgb(255, 255, 255)"; };
const low = [];
for (const node of document.querySelectorAll("body *")) {
  if (!node.checkVisibility || !node.checkVisibility()) continue;
  const own = [...node.childNodes].some(child => child.nodeType === 3 && child.textContent.trim());
  if (!own || node.closest("script, style, datalist")) continue;
  const style = getComputedStyle(node), color = node instanceof SVGElement ? style.fill : style.color;
  const [a, b] = [luminance(color), luminance(back(node))].sort((x, y) => y - x);
  if ((a + .05) / (b + .05) < 4.5) low.push(node.tagName + " " + node.textContent.trim().slice(0, 20) + " " + ((a + .05) / (b + .05)).toFixed(2));
}
return low;
"""


def has_search(url):
    try:
        return b'"items"' in urllib.request.urlopen(url + "admin/catalogue/demo?q=kids&limit=1").read()
    except OSError:
        return False


def load(url, stop):
    body = b'{"user_id":"u%d","history":{"items":["scifi-1-01","scifi-1-02","drama-2-01"]},"k":5}'
    number = 0
    while not stop.is_set():
        number += 1
        request = urllib.request.Request(url + "recommend", body % (number % 40), {"Content-Type": "application/json"})
        try:
            urllib.request.urlopen(request).read()
        except OSError:
            pass
        time.sleep(0.02)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--genrec")
    parser.add_argument("--url")
    parser.add_argument("--pid", type=int, help="of the server behind --url, which is asked to drain at the end")
    parser.add_argument("--screenshots", default=".build/screenshots")
    options = parser.parse_args()
    server = None
    if options.genrec:
        environment = dict(os.environ, GENREC_DRAIN_DELAY_MS="600000")
        server = subprocess.Popen(
            [options.genrec, "serve", "--listen", "127.0.0.1:0"], env=environment, stdout=subprocess.PIPE, text=True
        )
        options.url = re.search(r"http://[\d.:]+", server.stdout.readline()).group(0)
        options.pid = server.pid
    url = options.url.rstrip("/") + "/"
    os.makedirs(options.screenshots, exist_ok=True)
    stop = threading.Event()
    threading.Thread(target=load, args=(url, stop), daemon=True).start()

    def shoot(driver, name):
        driver.execute_script("window.scrollTo(0, 0)")
        size = driver.execute_script("return [document.documentElement.scrollWidth, document.documentElement.scrollHeight]")
        picture = driver.execute_cdp_cmd(
            "Page.captureScreenshot",
            {"captureBeyondViewport": True, "clip": {"x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 1}},
        )
        import base64

        with open(os.path.join(options.screenshots, name + ".png"), "wb") as file:
            file.write(base64.b64decode(picture["data"]))

    driver = browser(1100)
    try:
        driver.get(url)
        wait(driver, lambda: "ready" in text(driver, "state"))
        expect("state says ready", "● ready" in text(driver, "state"), text(driver, "state"))
        wait(driver, lambda: "demo" in text(driver, "models"))
        expect("models are listed", "hstu" in text(driver, "models"))
        wait(driver, lambda: len(driver.find_elements(By.CSS_SELECTOR, "#charts path.s")) >= 6)
        time.sleep(8)
        labels = [svg.get_attribute("aria-label") for svg in driver.find_elements(By.CSS_SELECTOR, "figure > svg")]
        expect("six charts say their values", len(labels) == 6 and "p99" in labels[1] and "ok" in labels[0], str(labels))
        driver.find_element(By.ID, "example").click()
        wait(driver, lambda: len(driver.find_elements(By.CSS_SELECTOR, "#history li")) == 3)
        driver.find_element(By.CSS_SELECTOR, "button.primary").click()
        wait(driver, lambda: "By demo" in text(driver, "answer"))
        expect("two clicks give recommendations", len(driver.find_elements(By.CSS_SELECTOR, "#answer li")) == 10)
        driver.find_element(By.CSS_SELECTOR, "#answer li button").click()
        wait(driver, lambda: len(driver.find_elements(By.CSS_SELECTOR, "#history li")) == 4)
        expect("an item of the answer joins the history", True)
        driver.find_element(By.CSS_SELECTOR, "details summary").click()
        curl = text(driver, "curl")
        done = subprocess.run(["sh", "-c", curl], capture_output=True, text=True)
        expect("the curl line gives a reply", '"items"' in done.stdout, curl + done.stdout)
        driver.find_element(By.CSS_SELECTOR, "figcaption button").click()
        wait(driver, lambda: driver.find_elements(By.CSS_SELECTOR, "figure table td"))
        expect("a chart has a table view", True)
        shoot(driver, "light")
        driver.find_element(By.CSS_SELECTOR, "figcaption button").click()
        expect("contrast, light", not (low := driver.execute_script(CONTRAST)), str(low))
        driver.find_element(By.ID, "k").clear()
        driver.find_element(By.ID, "k").send_keys("1000")
        driver.execute_script("document.getElementById('k').removeAttribute('max')")
        driver.find_element(By.ID, "k").send_keys("0")
        driver.find_element(By.CSS_SELECTOR, "button.primary").click()
        wait(driver, lambda: "cannot be used" in text(driver, "answer"))
        expect("an error is explained", "k" in text(driver, "answer"), text(driver, "answer"))
        shoot(driver, "error")
        # By keyboard only: tab to the item field, type an id, Enter, then tab to the button.
        driver.get(url)
        wait(driver, lambda: "ready" in text(driver, "state"))
        body = driver.find_element(By.TAG_NAME, "body")
        active = lambda: driver.switch_to.active_element
        for _ in range(40):
            webdriver.ActionChains(driver).send_keys(Keys.TAB).perform()
            if active().get_attribute("id") == "item":
                break
        active().send_keys("scifi-1-03", Keys.ENTER)
        for _ in range(20):
            webdriver.ActionChains(driver).send_keys(Keys.TAB).perform()
            if active().get_attribute("class") == "primary":
                break
        active().send_keys(Keys.ENTER)
        wait(driver, lambda: "By demo" in text(driver, "answer"))
        expect("the keyboard alone gives recommendations", True)
        if has_search(url):
            driver.find_element(By.ID, "clear").click()
            field = driver.find_element(By.ID, "item")
            offers = lambda: [option.text for option in driver.find_elements(By.CSS_SELECTOR, "#found [role=option]")]
            field.send_keys("kids ep")
            wait(driver, offers)
            expect("words find titles", all("Kids" in option for option in offers()), str(offers()))
            shoot(driver, "search")
            expect("contrast, search", not (low := driver.execute_script(CONTRAST)), str(low))
            field.send_keys(Keys.ARROW_DOWN, Keys.ARROW_DOWN)
            second, state = offers()[1], field.get_attribute("aria-activedescendant")
            expect("arrow keys choose", state == "found-1", str(state))
            field.send_keys(Keys.ENTER)
            wait(driver, lambda: driver.find_elements(By.CSS_SELECTOR, "#history li"))
            history = driver.find_element(By.ID, "history").text
            expect("what was chosen joins the history, with its title", second in history and not offers(), history)
            field.send_keys("drama")
            wait(driver, offers)
            field.send_keys(Keys.ESCAPE)
            expect("Escape closes the list", not offers() and field.get_attribute("aria-expanded") == "false")
            field.clear()
            field.send_keys("horror")
            wait(driver, offers)
            driver.find_element(By.CSS_SELECTOR, "#found [role=option]").click()
            wait(driver, lambda: len(driver.find_elements(By.CSS_SELECTOR, "#history li")) == 2)
            driver.find_element(By.CSS_SELECTOR, "button.primary").click()
            wait(driver, lambda: "episode" in text(driver, "answer"))
            expect("the answer shows titles", text(driver, "answer").count("episode") >= 10, text(driver, "answer"))
            driver.find_element(By.ID, "why").click()
            driver.find_element(By.CSS_SELECTOR, "button.primary").click()
            wait(driver, lambda: "Raised by" in text(driver, "answer"))
            expect("fields of other models are hidden", not driver.find_element(By.ID, "beams").is_displayed())
            expect("the answer says which events raised an item", "episode" in driver.find_element(By.CSS_SELECTOR, ".why").text)
            shoot(driver, "titles")
        else:
            print("       items by title: the server has no search")
        svg = driver.find_element(By.CSS_SELECTOR, "figure > svg")
        time.sleep(5)
        driver.execute_script("arguments[0].focus()", svg)
        svg.send_keys(Keys.ARROW_LEFT)
        expect("arrow keys read a chart", driver.find_elements(By.CSS_SELECTOR, "line.cursor") != [])
        foreign = []
        for entry in driver.get_log("performance"):
            found = re.search(r'"method":"Network.requestWillBeSent".*?"url":"([^"]+)"', entry["message"])
            if found and not found.group(1).startswith((url, "data:")):
                foreign.append(found.group(1))
        expect("no request leaves the origin", not [each for each in foreign if "favicon" not in each], str(foreign[:3]))
        severe = [entry["message"] for entry in driver.get_log("browser") if entry["level"] == "SEVERE" and "favicon" not in entry["message"] and "422" not in entry["message"] and "admin/catalogue" not in entry["message"]]
        expect("no error in the browser's log", not severe, str(severe[:3]))
    finally:
        driver.quit()
    for name, width, dark in (("dark", 1100, True), ("narrow", 360, False)):
        driver = browser(width, dark)
        try:
            driver.get(url)
            wait(driver, lambda: "ready" in text(driver, "state"))
            driver.find_element(By.ID, "example").click()
            time.sleep(7)
            driver.find_element(By.CSS_SELECTOR, "button.primary").click()
            wait(driver, lambda: "By demo" in text(driver, "answer"))
            shoot(driver, name)
            expect(f"contrast, {name}", not (low := driver.execute_script(CONTRAST)), str(low))
            wide = driver.execute_script("return document.documentElement.scrollWidth")
            expect(f"{name}: nothing is wider than the page", wide <= width, str(wide))
            if name == "narrow" and options.pid:
                os.kill(options.pid, signal.SIGTERM)
                wait(driver, lambda: "draining" in text(driver, "state"))
                expect("draining is said", True)
                shoot(driver, "draining")
                if server:
                    os.kill(options.pid, signal.SIGTERM)
                    server.wait(60)
                    wait(driver, lambda: "does not answer" in text(driver, "state"))
                    expect("a server that is gone is said", True)
        finally:
            driver.quit()
    stop.set()
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
