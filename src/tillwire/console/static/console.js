// The console's own script: theme, keys, and pages that follow what happens. Pages work without it.
"use strict";
(() => {
  const root = document.documentElement;
  const kept = (() => { try { return localStorage.getItem("theme"); } catch { return null; } })();
  if (kept) root.dataset.theme = kept;
  const dark = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const switchTheme = () => {
    root.dataset.theme = dark() ? "light" : "dark";
    try { localStorage.setItem("theme", root.dataset.theme); } catch { /* a browser that keeps nothing: for this page */ }
  };

  const writing = (node) => node instanceof HTMLElement && (node.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(node.tagName));
  let afterG = 0;
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || writing(event.target) || document.querySelector("dialog[open]")) return;
    if (afterG && performance.now() - afterG < 1500) {
      afterG = 0;
      const there = document.querySelector(`.menu a[data-key="${CSS.escape(event.key)}"]`);
      if (there) { event.preventDefault(); location.assign(there.href); }
      return;
    }
    if (event.key === "g") afterG = performance.now();
    else if (event.key === "d") switchTheme();
    else if (event.key === "?") document.getElementById("keys")?.showModal();
    else if (event.key === "/") { event.preventDefault(); document.getElementById("search")?.focus(); }
  });
  addEventListener("click", (event) => {
    if (event.target.closest("[data-theme-switch]")) switchTheme();
  });

  const retry = document.querySelector("[data-retry]");
  if (retry) setTimeout(() => location.reload(), 1000 * Number(retry.dataset.retry));

  const lamp = document.querySelector(".live");
  if (!lamp || !document.querySelector("[data-live]")) return;
  const say = (state, words) => { lamp.dataset.state = state; lamp.querySelector("span").textContent = words; };
  const stale = document.querySelector(".stale");
  let last = Date.now(), wanted = new Set(), under = false;

  const refresh = async () => {
    if (under || !wanted.size || document.hidden) return;
    under = true;
    const topics = wanted;
    wanted = new Set();
    try {
      const answer = await fetch(location.href, { headers: { "X-Live": "1" }, credentials: "same-origin" });
      if (answer.redirected && new URL(answer.url).pathname.startsWith("/sign-in")) { location.reload(); return; }
      if (!answer.ok) throw new Error(String(answer.status));
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const old of document.querySelectorAll("[data-live]")) {
        if (!old.dataset.live.split(" ").some((topic) => topics.has(topic)) || old.contains(document.activeElement)) continue;
        const fresh = page.getElementById(old.id);
        if (fresh && fresh.outerHTML !== old.outerHTML) old.replaceWith(fresh);
      }
    } catch { for (const topic of topics) wanted.add(topic); } finally { under = false; }
  };
  const follow = () => {
    const source = new EventSource("/live");
    source.addEventListener("changed", (event) => {
      for (const topic of event.data.split(" ")) wanted.add(topic);
      last = Date.now(); say("on", "live"); stale.hidden = true;
      refresh();
    });
    source.addEventListener("beat", () => { last = Date.now(); say("on", "live"); stale.hidden = true; refresh(); });
    source.onerror = () => {
      say("lost", "reconnecting");
      if (source.readyState !== EventSource.CLOSED) return;
      wanted.add("session");  // refused, not lost: the page's next look tells whether anybody is signed in
      refresh();
      setTimeout(follow, 5000);
    };
  };
  follow();
  addEventListener("visibilitychange", refresh);
  setInterval(() => {
    if (Date.now() - last < 15000) return;
    say("lost", "not connected");
    stale.hidden = false;
    stale.querySelector("[data-stale-since]").textContent = `${Math.round((Date.now() - last) / 1000)} s ago`;
  }, 3000);
})();
