// Adds a tooltip and a legend to the SVG figures of a page. The server draws them (api/pages/figures): a group with
// `data-name` is a series, and a mark with a <title> is a value. Without scripts, the picture and the browser's own
// tooltips remain. Hidden series are kept in the fragment of the address: #hide=curves:0,3
"use strict";

(() => {
  const REACH = 48; // pixels between the pointer and a value
  const WITH_LEGEND = new Set(["curves", "bars"]);
  const ROOM = 10; // pixels between a value and its tooltip

  const element = (tag, attributes = {}, text = "") => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.textContent = text;
    return made;
  };

  // Series with their values; a <title> becomes the tooltip's text, or the browser would show it a second time.
  const seriesOf = (picture) =>
    [...picture.querySelectorAll("g[data-name]")].map((group) => ({
      group,
      name: group.dataset.name,
      values: [...group.querySelectorAll("title")].map((title) => {
        const value = { mark: title.parentNode, text: title.textContent, group };
        title.remove();
        return value;
      }),
    }));

  const hiddenIn = (fragment) => {
    const given = new URLSearchParams(fragment.slice(1)).get("hide") ?? "";
    const parts = given.split(";").map((part) => part.split(":"));
    const complete = parts.filter(([name, places]) => name && places);
    return new Map(complete.map(([name, places]) => [name, places.split(",").map(Number)]));
  };

  const keep = (name, places) => {
    const hidden = hiddenIn(location.hash);
    if (places.length) hidden.set(name, places);
    else hidden.delete(name);
    const fragment = [...hidden].map(([figure, list]) => `${figure}:${list.join(",")}`).join(";");
    const address = fragment ? `#hide=${fragment}` : location.pathname + location.search;
    history.replaceState(history.state, "", address);
  };

  const centre = (mark) => {
    const box = mark.getBoundingClientRect();
    return { x: box.x + box.width / 2, y: box.y + box.height / 2, top: box.y, bottom: box.bottom };
  };

  // The tooltip of a figure: `show` a value, `clear` it.
  function tooltip(frame, picture) {
    const tip = element("div", { class: "tip", "aria-hidden": "true", hidden: "" });
    frame.append(tip);
    let shown = null;
    const clear = () => {
      shown?.mark.classList.remove("at");
      shown = null;
      tip.hidden = true;
    };
    const show = (value) => {
      if (value === shown) return;
      clear();
      shown = value;
      value.mark.classList.add("at");
      tip.textContent = value.text;
      tip.hidden = false;
      const place = centre(value.mark);
      const box = frame.getBoundingClientRect();
      const left = place.x - box.x + frame.scrollLeft - tip.offsetWidth / 2;
      const most = frame.scrollLeft + frame.clientWidth - tip.offsetWidth;
      const above = place.top - box.y - tip.offsetHeight - ROOM;
      tip.style.left = `${Math.max(0, Math.min(left, most))}px`;
      tip.style.top = `${above >= 0 ? above : place.bottom - box.y + ROOM}px`;
    };
    return { show, clear };
  }

  // Draws one series before the others; null ends it.
  const highlighter = (picture, series) => (chosen) => {
    picture.classList.toggle("focused", chosen !== null);
    for (const { group } of series) group.classList.toggle("on", group === chosen);
  };

  function nearest(series, event) {
    let best = null;
    let least = REACH;
    for (const { group, values } of series) {
      if (group.classList.contains("off")) continue;
      for (const value of values) {
        const place = centre(value.mark);
        const distance = Math.hypot(place.x - event.clientX, place.y - event.clientY);
        if (distance < least) [best, least] = [value, distance];
      }
    }
    return best;
  }

  const key = (group) => {
    const picture = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    picture.setAttribute("viewBox", "-7 -7 14 14");
    picture.setAttribute("class", "chart key");
    picture.setAttribute("aria-hidden", "true");
    const holder = document.createElementNS("http://www.w3.org/2000/svg", "g");
    holder.setAttribute("class", group.getAttribute("class").split(" ")[0]);
    const mark = group.querySelector("path.mark").cloneNode(false);
    mark.removeAttribute("transform");
    holder.append(mark);
    picture.append(holder);
    return picture;
  };

  // One tab stop: Left and Right move between the buttons, Up and Down read the values of a series.
  function toolbar(label, buttons) {
    const bar = element("div", { class: "legend", role: "toolbar", "aria-label": label });
    buttons.forEach((button, place) => (button.tabIndex = place ? -1 : 0));
    bar.append(...buttons);
    bar.addEventListener("keydown", (event) => {
      const at = buttons.indexOf(document.activeElement);
      const next = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: buttons.length - 1 }[event.key];
      if (at < 0 || next === undefined) return;
      event.preventDefault();
      buttons[at].tabIndex = -1;
      const chosen = buttons[(next + buttons.length) % buttons.length];
      chosen.tabIndex = 0;
      chosen.focus();
    });
    return bar;
  }

  // Up and Down on a button show its values one by one, and a screen reader hears them.
  function readByKeys(button, values, tip, voice) {
    let at = -1;
    button.addEventListener("keydown", (event) => {
      if (event.key === "Escape") tip.clear();
      const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
      if (!step || !values.length) return;
      event.preventDefault();
      at = at < 0 && step < 0 ? values.length - 1 : (at + step + values.length) % values.length;
      tip.show(values[at]);
      voice.textContent = values[at].text;
    });
    button.addEventListener("blur", tip.clear);
  }

  function legend(figure, series, tip, highlight, voice) {
    const name = figure.dataset.name;
    const buttons = series.map(({ group, name: label, values }, place) => {
      const button = element("button", { type: "button", "aria-pressed": "true" });
      button.append(key(group), label);
      const set = (visible) => {
        group.classList.toggle("off", !visible);
        button.setAttribute("aria-pressed", String(visible));
      };
      if (hiddenIn(location.hash).get(name)?.includes(place)) set(false);
      button.addEventListener("click", () => {
        set(group.classList.contains("off"));
        const places = series.map((one, index) => (one.group.classList.contains("off") ? index : -1));
        keep(name, places.filter((index) => index >= 0));
      });
      for (const start of ["focus", "pointerenter"]) button.addEventListener(start, () => highlight(group));
      for (const end of ["blur", "pointerleave"]) button.addEventListener(end, () => highlight(null));
      readByKeys(button, values, tip, voice);
      return button;
    });
    return toolbar("Series: Enter hides or shows, Up and Down read values", buttons);
  }

  function reader(series, tip, voice) {
    const button = element("button", { type: "button" }, "Read values with ↑ and ↓");
    readByKeys(button, series.flatMap(({ values }) => values), tip, voice);
    return toolbar("Values", [button]);
  }

  function enhance(figure) {
    figure.dataset.ready = "";
    const picture = figure.querySelector("svg.chart");
    const series = seriesOf(picture);
    const tip = tooltip(picture.parentNode, picture);
    const highlight = highlighter(picture, series);
    const voice = element("p", { class: "unseen", role: "status" });
    const withLegend = WITH_LEGEND.has(figure.dataset.chart) && series.length > 1;
    const height = picture.dataset.plotHeight; // the drawn legend would repeat the one below
    if (withLegend && height) picture.setAttribute("viewBox", `0 0 ${picture.viewBox.baseVal.width} ${height}`);
    const controls = withLegend ? legend(figure, series, tip, highlight, voice) : reader(series, tip, voice);
    picture.parentNode.after(controls, voice);
    picture.addEventListener("pointermove", (event) => {
      const value = nearest(series, event);
      if (value) tip.show(value);
      else tip.clear();
      if (withLegend) highlight(value?.group ?? null);
    });
    picture.addEventListener("pointerleave", () => {
      tip.clear();
      highlight(null);
    });
  }

  const scan = () => document.querySelectorAll("figure[data-chart]:not([data-ready])").forEach(enhance);
  scan();
  // A live page gets its final figures when the run has ended.
  new MutationObserver(scan).observe(document.body, { childList: true, subtree: true });
})();
