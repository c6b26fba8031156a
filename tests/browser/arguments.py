"""What Chromium is started with, so that a window costs no more than the page in it.

A window of Debian's Chromium brings two pages of its own for the address bar's suggestions, in a
process of their own, and a process kept for the next site: half of what a short test costs.
"""

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
