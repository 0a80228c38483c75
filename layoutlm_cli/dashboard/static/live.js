// Replaces the parts of the page that the server says have changed; everything else stays where it is.
"use strict";
(() => {
  const feed = document.body.dataset.feed;
  const state = document.getElementById("state");
  if (!feed || !window.EventSource) return;
  const FOCUSABLE = "a, button, summary, [tabindex]";
  let source = null;

  function say(text, kind) {
    if (state.textContent !== text) state.textContent = text;
    state.className = `state ${kind}`;
  }

  // What the reader has opened, scrolled and focused in a part outlives its replacement.
  function replace(part, html) {
    const open = [...part.querySelectorAll("details")].map((one) => one.open);
    const focused = [...part.querySelectorAll(FOCUSABLE)].indexOf(document.activeElement);
    const scrolled = [...part.querySelectorAll(".scroll, pre")].map((one) => [one.scrollLeft, one.scrollTop]);
    part.innerHTML = html;
    part.querySelectorAll("details").forEach((one, at) => { one.open = open[at] ?? false; });
    part.querySelectorAll(".scroll, pre").forEach((one, at) => {
      if (scrolled[at]) [one.scrollLeft, one.scrollTop] = scrolled[at];
    });
    if (focused >= 0) part.querySelectorAll(FOCUSABLE)[focused]?.focus({ preventScroll: true });
  }

  function take(event) {
    const { id, version, html } = JSON.parse(event.data);
    const part = document.getElementById(id);
    say("live", "on");
    if (!part || part.dataset.version === version) return;
    part.dataset.version = version;
    replace(part, html);
    document.dispatchEvent(new CustomEvent("part", { detail: id }));
  }

  function open() {
    if (source) return;
    source = new EventSource(feed);
    source.addEventListener("part", take);
    source.onopen = () => say("live", "on");
    source.onerror = () => {
      say("connection lost, trying again", "off");
      // After an answer that is no stream, a browser gives up for good.
      if (source?.readyState === EventSource.CLOSED) { close(); setTimeout(() => document.hidden || open(), 5000); }
    };
  }

  function close() {
    source?.close();
    source = null;
  }

  // A hidden page asks for nothing; a browser has six connections to one host, however many pages are open.
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  window.addEventListener("pagehide", close);
  window.addEventListener("pageshow", () => document.hidden || open());
  if (!document.hidden) open();
})();
