// Follows a job: at each server-sent event, htmx loads the page again and morphs it. Without the stream, the page
// still reloads every few seconds.
"use strict";

(() => {
  const PAUSE = 700; // milliseconds: several events at once cause one refresh
  const content = () => document.getElementById("content");
  const address = content().dataset.events;
  if (!address) return;
  const source = new EventSource(address);
  let waiting = null;
  const refresh = () => {
    waiting ??= setTimeout(() => {
      waiting = null;
      if (!content().dataset.events) source.close(); // the state is final
      else htmx.trigger(content(), "news");
    }, PAUSE);
  };
  source.onmessage = refresh;
  source.addEventListener("end", () => {
    source.close();
    refresh();
  });
})();
