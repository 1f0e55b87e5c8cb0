// Follows a job: whenever the server tells of something new (server-sent events), htmx asks for the page again and morphs it. Where the stream cannot be had,
// the page still asks every few seconds by itself.
"use strict";

(() => {
  const PAUSE = 700; // milliseconds: a run of many events is one refresh
  const content = () => document.getElementById("content");
  const address = content().dataset.events;
  if (!address) return;
  const source = new EventSource(address);
  let waiting = null;
  const refresh = () => {
    waiting ??= setTimeout(() => {
      waiting = null;
      if (!content().dataset.events) source.close(); // nothing can change any more
      else htmx.trigger(content(), "news");
    }, PAUSE);
  };
  source.onmessage = refresh;
  source.addEventListener("end", () => {
    source.close();
    refresh();
  });
})();
