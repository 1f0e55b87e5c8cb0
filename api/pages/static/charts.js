// Makes the figures of a page interactive: tooltips, series that can be hidden, zoom. Each figure has its picture as SVG from the server and its numbers in a
// <script type="application/json">; once it comes into view, ECharts is fetched and drawn in the picture's place. Without scripts the picture stays.
"use strict";

(() => {
  const DASHES = ["solid", "dashed", "dotted", [9, 3, 2, 3]];
  const SYMBOLS = ["circle", "rect", "triangle", "diamond", "path://M0 0L10 0L5 10Z"];
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const drawn = new Map();
  let library;

  const loaded = () =>
    (library ??= new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = "/static/echarts.min.js";
      script.onload = () => resolve(window.echarts);
      script.onerror = () => reject(new Error("ECharts could not be loaded; the pictures stay"));
      document.head.append(script);
    }));

  // The colours of the style sheet, as they are in this scheme.
  function palette() {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("class", "chart");
    document.body.append(svg);
    const colour = (name) => {
      const group = document.createElementNS("http://www.w3.org/2000/svg", "g");
      group.setAttribute("class", name);
      svg.append(group);
      return getComputedStyle(group).color;
    };
    const root = getComputedStyle(document.documentElement);
    const found = {
      series: [0, 1, 2, 3, 4, 5, 6, 7].map((index) => colour(`c${index}`)),
      bound: colour("bound"),
      ink: root.getPropertyValue("--ink").trim(),
      quiet: root.getPropertyValue("--quiet").trim(),
      line: root.getPropertyValue("--line").trim(),
      paper: root.getPropertyValue("--raised").trim(),
    };
    svg.remove();
    return found;
  }

  const percent = (value, digits = 1) => (value == null ? "–" : `${(100 * value).toFixed(digits)} %`.replace("-", "−"));
  const points = (value) => (value > 0 ? "+" : value < 0 ? "−" : "") + Math.abs(100 * value).toFixed(2);
  const short = (name) => (name.length > 24 ? name.slice(0, 23) + "…" : name);

  // Places near those that are wanted, a label's height apart.
  function spread(wanted, top, bottom) {
    const gap = Math.min(16, (bottom - top) / Math.max(1, wanted.length - 1));
    const order = wanted.map((_, index) => index).sort((one, other) => wanted[one] - wanted[other]);
    const placed = [];
    order.forEach((index, place) => placed.push(Math.max(wanted[index], place ? placed[place - 1] + gap : top)));
    if (placed.length) placed[placed.length - 1] = Math.min(placed[placed.length - 1], bottom);
    for (let place = placed.length - 2; place >= 0; place -= 1) placed[place] = Math.min(placed[place], placed[place + 1] - gap);
    const found = [];
    order.forEach((index, place) => (found[index] = placed[place]));
    return found;
  }

  const axis = (colours, more) => ({
    axisLabel: { color: colours.quiet },
    axisLine: { lineStyle: { color: colours.quiet } },
    splitLine: { lineStyle: { color: colours.line } },
    nameLocation: "middle",
    nameGap: 28,
    nameTextStyle: { color: colours.quiet },
    ...more,
  });

  const colourOf = (colours, one) => (one.bound ? colours.bound : colours.series[one.place % 8]);

  const LINE = 24;
  const LEAST = { curves: () => 320, scatter: () => 320, bars: () => 260, intervals: (spec) => 66 + 38 * spec.rows.length };

  // As many lines as the names need: a name that is cut off or on a second page is not read.
  const legend = (colours, names, width) => {
    const lines = Math.ceil(names.reduce((sum, name) => sum + 55 + 6.5 * short(name).length, 0) / width);
    return { option: { data: names, formatter: short, type: "plain", top: 0, textStyle: { color: colours.ink } }, below: 16 + LINE * lines };
  };

  const kinds = {
    curves(spec, colours, height, width) {
      const series = [];
      const keys = legend(colours, spec.series.map((one) => one.name), width);
      const grid = { left: 56, right: 210, top: keys.below, bottom: 44 };
      const plot = height - grid.top - grid.bottom;
      const ends = spec.series.map((one) => grid.top + plot * ((1 - one.points[one.points.length - 1][1]) / (1 - spec.floor / 100)));
      const places = spread(ends, grid.top, grid.top + plot);
      spec.series.forEach((one, index) => {
        const colour = colourOf(colours, one);
        // The line comes first: the legend shows a name as its first series is drawn.
        series.push({
          type: "line",
          z: 3,
          name: one.name,
          data: one.points,
          symbol: SYMBOLS[one.place % 5],
          symbolSize: 8,
          itemStyle: { color: colour },
          lineStyle: { color: colour, width: 2, type: one.bound ? "dotted" : DASHES[one.place % 4] },
          endLabel: { show: true, formatter: () => short(one.name), color: colours.ink, distance: 12, offset: [0, places[index] - ends[index]] },
          emphasis: { focus: "series" },
        });
        if (one.band) {
          const shared = {
            type: "line",
            stack: `band ${index}`,
            silent: true,
            symbol: "none",
            lineStyle: { opacity: 0 },
            itemStyle: { color: colour },
            tooltip: { show: false },
            name: one.name,
          };
          series.push({ ...shared, data: one.points.map(([x], place) => [x, Math.max(spec.floor / 100, one.band[place][0])]) });
          series.push({
            ...shared,
            areaStyle: { color: colour, opacity: spec.series.length > 4 ? 0.06 : 0.12 },
            data: one.points.map(([x], place) => [x, Math.min(1, one.band[place][1]) - Math.max(spec.floor / 100, one.band[place][0])]),
          });
        }
      });
      return {
        grid,
        legend: keys.option,
        xAxis: axis(colours, { type: "value", name: spec.x, min: "dataMin", max: "dataMax", splitLine: { show: false }, axisLabel: { color: colours.quiet, formatter: (value) => String(Number(value.toPrecision(3))) } }),
        yAxis: axis(colours, { type: "value", min: spec.floor / 100, max: 1, axisLabel: { color: colours.quiet, formatter: (value) => `${Math.round(100 * value)} %` } }),
        tooltip: {
          trigger: "item",
          formatter: (item) => `${item.seriesName}\n${percent(item.value[1], 2)} at ${item.value[0]} ${spec.x}`,
        },
        series,
      };
    },

    scatter(spec, colours) {
      const part = (frontier) => spec.points.filter((point) => point.frontier === frontier).map((point) => ({ name: point.name, value: [point.x, point.y] }));
      const frontier = part(true).sort((one, other) => one.value[0] - other.value[0]);
      return {
        grid: { left: 56, right: 140, top: 20, bottom: 44 },
        xAxis: axis(colours, { type: "log", name: spec.x, splitLine: { show: false } }),
        yAxis: axis(colours, { type: "value", scale: true, max: 1, axisLabel: { color: colours.quiet, formatter: (value) => `${(100 * value).toFixed(0)} %` } }),
        tooltip: { trigger: "item", formatter: (item) => `${item.name}\n${percent(item.value[1], 2)} at ${item.value[0].toPrecision(3)} ${spec.x}` },
        series: [
          { type: "scatter", data: part(false), symbolSize: 9, itemStyle: { color: colours.bound } },
          {
            type: "line",
            data: frontier,
            symbol: "diamond",
            symbolSize: 12,
            itemStyle: { color: colours.series[0] },
            lineStyle: { color: colours.series[0], type: "dashed" },
            label: { show: true, position: "right", offset: [2, 10], formatter: (item) => short(item.name), color: colours.ink },
            labelLayout: { hideOverlap: true },
          },
        ],
      };
    },

    intervals(spec, colours) {
      const rows = [...spec.rows].reverse();
      const reach = 1.1 * Math.max(0.001, ...rows.flatMap((row) => [row.mean, row.low, row.high]).map((value) => Math.abs(value ?? 0)));
      return {
        grid: { left: 170, right: 40, top: 22, bottom: 44 },
        xAxis: axis(colours, {
          type: "value",
          name: "percentage points; right of 0 is better than the baseline",
          min: -reach,
          max: reach,
          axisLabel: { color: colours.quiet, formatter: (value) => points(value), showMinLabel: false, showMaxLabel: false },
        }),
        yAxis: axis(colours, { type: "category", data: rows.map((row) => short(row.name)), splitLine: { show: false } }),
        tooltip: {
          trigger: "item",
          formatter: (item) => {
            const row = rows[item.dataIndex];
            return row.low == null ? `${row.name}\n${points(row.mean)}` : `${row.name}\n${points(row.mean)}, 95 % interval ${points(row.low)} … ${points(row.high)}`;
          },
        },
        series: [
          {
            type: "scatter",
            symbolSize: 12,
            data: rows.map((row, index) => ({ value: [row.mean, index], symbol: SYMBOLS[row.place % 5], itemStyle: { color: colourOf(colours, row) } })),
            label: { show: true, position: "top", formatter: (item) => (item.value[0] == null ? "" : points(item.value[0])), color: colours.ink },
            markLine: {
              symbol: ["none", "none"],
              silent: true,
              label: { show: false },
              data: [
                [{ xAxis: 0, y: 16 }, { xAxis: 0, y: "88%" }],
                ...rows.flatMap((row, index) =>
                  row.low == null ? [] : [[{ coord: [row.low, index] }, { coord: [row.high, index], lineStyle: { type: "solid", width: 2, color: colourOf(colours, row) } }]],
                ),
              ],
            },
          },
        ],
      };
    },

    bars(spec, colours, height, width) {
      const keys = legend(colours, spec.series.map((one) => one.name), width);
      return {
        grid: { left: 56, right: 16, top: keys.below, bottom: 32 },
        legend: keys.option,
        xAxis: axis(colours, { type: "category", data: spec.groups, splitLine: { show: false } }),
        yAxis: axis(colours, { type: "value", axisLabel: { color: colours.quiet, formatter: (value) => percent(value, 0) } }),
        tooltip: { trigger: "item", formatter: (item) => `${item.seriesName}, ${item.name}\n${percent(item.value, 2)}` },
        series: spec.series.map((one) => ({ type: "bar", name: one.name, data: one.values, itemStyle: { color: colourOf(colours, one) } })),
      };
    },

    trace(spec, colours) {
      return {
        grid: { left: 64, right: 20, top: 20, bottom: 44 },
        xAxis: axis(colours, { type: "value", name: spec.x, min: "dataMin", max: "dataMax", splitLine: { show: false } }),
        yAxis: axis(colours, { type: "value" }),
        tooltip: { trigger: "axis", formatter: ([item]) => `${spec.y} ${item.value[1].toPrecision(4)}\n${spec.x} ${item.value[0]}` },
        dataZoom: [{ type: "inside" }],
        series: [{ type: "line", data: spec.points, symbol: "none", itemStyle: { color: colours.series[0] }, lineStyle: { width: 2 } }],
      };
    },
  };

  async function draw(figure) {
    const spec = JSON.parse(figure.querySelector("script[type='application/json']").textContent);
    if (!(spec.kind in kinds) || figure.dataset.drawn) return;
    figure.dataset.drawn = spec.kind;
    const echarts = await loaded();
    const picture = figure.querySelector("svg.chart");
    const box = picture.getBoundingClientRect();
    const place = document.createElement("div");
    place.className = "interactive";
    place.setAttribute("role", "img");
    place.setAttribute("aria-label", picture.getAttribute("aria-label"));
    place.style.width = `${box.width}px`;
    place.style.height = `${Math.max(box.height, LEAST[spec.kind]?.(spec) ?? 0)}px`; // a narrow screen shrinks a picture, not letters
    picture.replaceWith(place);
    const chart = echarts.init(place, null, { renderer: "canvas" });
    const render = () => {
      const colours = palette();
      const option = kinds[spec.kind](spec, colours, chart.getHeight(), chart.getWidth());
      option.animation = !still.matches;
      // Text drawn on the canvas: a tooltip of HTML would need inline styles, which the page's policy refuses.
      option.tooltip = { renderMode: "richText", confine: true, backgroundColor: colours.paper, borderColor: colours.line, textStyle: { color: colours.ink }, ...option.tooltip };
      chart.setOption(option, true);
    };
    render();
    drawn.set(figure, render);
    new ResizeObserver(() => {
      const width = place.parentElement.clientWidth;
      place.style.width = `${Math.max(Math.min(width, 960), 576)}px`;
      chart.resize();
    }).observe(place.parentElement);
  }

  dark.addEventListener("change", () => drawn.forEach((render) => render()));
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      seen.unobserve(entry.target);
      draw(entry.target).catch((error) => console.error(error));
    }
  });
  const scan = () => document.querySelectorAll("figure[data-chart]:not([data-drawn])").forEach((figure) => seen.observe(figure));
  scan();
  new MutationObserver(scan).observe(document.body, { childList: true, subtree: true }); // a page that was live gets its figures when it has ended
})();
