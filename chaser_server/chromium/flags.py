"""The Chromium command line, as a pure function. Each switch stands with its reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from chaser_server.chromium.profiles import Profile

_DISABLED_FEATURES = (
    # Each of these talks to the outside, or starts a process that nobody asked for.
    "AutofillServerCommunication",
    "CertificateTransparencyComponentUpdater",
    "DialMediaRouteProvider",
    "InterestFeedContentSuggestions",
    "MediaRouter",
    "OptimizationHints",
    "Translate",
    "WebUIOmniboxAimPopup",
    "WebUIOmniboxPopup",
    "WebUIReloadButton",
)

_ALWAYS = (
    # Nothing goes out but what a page asks for.
    "--disable-background-networking",
    "--disable-client-side-phishing-detection",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-quic",  # UDP has no way out of the sandbox; do not try it
    "--disable-sync",
    "--metrics-recording-only",
    "--no-pings",
    "--no-service-autorun",
    # Nobody is asked anything.
    "--deny-permission-prompts",
    "--disable-search-engine-choice-screen",
    "--hide-crash-restore-bubble",
    "--no-default-browser-check",
    "--no-first-run",
    "--noerrdialogs",
    "--password-store=basic",
    "--use-mock-keychain",
    # Pages behave under automation as they do in front of a person.
    "--disable-back-forward-cache",  # with it, going back hangs over CDP
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-hang-monitor",
    "--disable-popup-blocking",
    "--disable-renderer-backgrounding",
    "--keep-alive-for-test",  # a script may close its last page and open another: only Browser.close ends a browser
    # No graphics card here: composite in software, WebGL by SwiftShader.
    "--disable-gpu",
    "--enable-unsafe-swiftshader",
    # Crash reports stay at home. (`--disable-crashpad-for-testing` would spare three processes more, and crash others.)
    "--disable-breakpad",
    "--disable-crash-reporter",
)


def chromium_argv(
    *,
    executable: str,
    profile: Profile,
    home: str,
    user_agent: str | None,
    own_sandbox: bool,
    extra_args: Sequence[str] = (),
) -> list[str]:
    """The command line for one session.

    `{devtools_port}` and `{egress_port}` are left in it for whoever knows the ports. `home` is the directory the
    browser may write to. `own_sandbox` False turns Chromium's own sandbox off, which it insists on when it runs as
    root outside of ours. `extra_args` are the operator's: their `--disable-features` join ours, others go last and win.
    """
    size = f"{profile.width},{profile.height}"
    argv = [
        executable,
        f"--user-data-dir={home}/profile",
        "--remote-debugging-port={devtools_port}",  # a fixed one: with 0, navigator.webdriver would be true
        "--proxy-server=http://127.0.0.1:{egress_port}",
        "--proxy-bypass-list=<-loopback>",  # localhost, too, goes through the proxy
        *_ALWAYS,
        f"--window-size={size}",
        "--window-position=0,0",
    ]
    argv += ["--headless=new", f"--screen-info={{{{{size.replace(',', 'x')}}}}}"] if profile.headless else []
    argv += [] if profile.headless else ["--start-fullscreen"]
    if profile.browser == "headless-shell":  # it says navigator.webdriver whatever its port is
        argv.append("--disable-blink-features=AutomationControlled")
    argv += [] if own_sandbox else ["--no-sandbox", "--test-type"]
    argv += [] if user_agent is None else [f"--user-agent={user_agent}"]
    argv += ["--use-mobile-user-agent"] if profile.mobile else []
    argv += [f"--lang={profile.locale}", f"--accept-lang={profile.locale}"] if profile.locale else []
    argv += _merge_features(("--disable-features=" + ",".join(_DISABLED_FEATURES), *profile.extra_args, *extra_args))
    return [*argv, "about:blank"]


def environment(profile: Profile, *, home: str) -> Mapping[str, str]:
    """The environment of a session's programs: nothing of the server's own, so no secret of it can leak."""
    variables = {
        "DBUS_SESSION_BUS_ADDRESS": "disabled:",
        "GOOGLE_API_KEY": "no",  # else an infobar says that keys are missing
        "GOOGLE_DEFAULT_CLIENT_ID": "no",
        "GOOGLE_DEFAULT_CLIENT_SECRET": "no",
        "HOME": home,
        "LANG": "C.UTF-8",
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "TMPDIR": "/tmp",
        "XDG_CACHE_HOME": f"{home}/.cache",
        "XDG_CONFIG_HOME": f"{home}/.config",
    }
    return {**variables, **({"TZ": profile.timezone} if profile.timezone else {})}


def _merge_features(args: Iterable[str]) -> list[str]:
    """Join repeated `--disable-features` and `--enable-features`: Chromium would heed only the last of each."""
    features: dict[str, list[str]] = {"--disable-features": [], "--enable-features": []}
    others = []
    for arg in args:
        name, _, value = arg.partition("=")
        if name in features:
            features[name] += value.split(",")
        else:
            others.append(arg)
    return [f"{name}={','.join(dict.fromkeys(values))}" for name, values in features.items() if values] + others
