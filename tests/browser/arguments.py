"""What Chromium is started with, so that a window costs no more than the page in it.

A window of Debian's Chromium brings two pages of its own for the address bar's suggestions, in a
process of their own, and a process kept for the next site: half of what a short test costs.
"""

import json
import shutil
from pathlib import Path

from tests.browser.site import FOREIGN_KEY

# Chromium obeys the last --disable-features only, so these are Playwright's own (as of 1.65) too.
_PLAYWRIGHTS = (
    "AvoidUnnecessaryBeforeUnloadCheckSync", "DestroyProfileOnBrowserClose", "HttpsUpgrades",
    "HttpsFirstBalancedModeAutoEnable", "LensOverlay", "MediaRouter", "PaintHolding",
    "ThirdPartyStoragePartitioning", "AvoidCorsURLLoaderRestartOnRedirect",
    "TcpPortRandomizationWin", "OptimizationHints", "NetworkTimeServiceQuerying", "AimEnabled",
    "PreconnectToSearch",
)  # fmt: skip
_SPARED = ("WebUIOmniboxPopup", "WebUIOmniboxAimPopup", "SpareRendererForSitePerProcess")

ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    f"--disable-features={','.join(_PLAYWRIGHTS + _SPARED)}",
)


def with_extensions(foreign: Path) -> list[str]:
    """The test extension too, and a copy of it, made at ``foreign``, that goes by another id."""
    own = Path(__file__).with_name("extension")
    shutil.copytree(own, foreign)
    manifest = json.loads((own / "manifest.json").read_text()) | {"key": FOREIGN_KEY}
    (foreign / "manifest.json").write_text(json.dumps(manifest))
    both = f"{own},{foreign}"
    return [*ARGUMENTS, f"--disable-extensions-except={both}", f"--load-extension={both}"]
