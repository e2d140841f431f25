"""Style and script of the page that :mod:`anybpf.verifier.report.html` writes.

Kept as they are sent: the browser is told the script's hash, so they must not be changed on the
way. The script builds everything from text nodes; it never takes a string for markup.
"""

from __future__ import annotations

from typing import Final

STYLE: Final = """
:root { color-scheme: light dark;
  --paper:#fff; --ink:#1b1f24; --faint:#656d76; --line:#d0d7de; --panel:#f6f8fa;
  --chosen:#fff2b8; --same:#eaf3ff; --way:#8250df; --bad:#c0202c; --good:#18794e; --mark:#0b62d6; }
@media (prefers-color-scheme: dark) { :root {
  --paper:#0d1117; --ink:#e6edf3; --faint:#9198a1; --line:#30363d; --panel:#161b22;
  --chosen:#413812; --same:#12305a; --way:#bc8cff; --bad:#ff7b72; --good:#56d364;
  --mark:#79b8ff; } }
* { box-sizing: border-box; }
html, body { height: 100%; margin: 0; }
body { display: grid; grid-template-rows: auto minmax(0,1fr) auto; background: var(--paper);
  color: var(--ink); font: 14px/1.45 system-ui, sans-serif; }
header, footer { padding: 6px 12px; border-bottom: 1px solid var(--line); }
footer { border: 0; border-top: 1px solid var(--line); color: var(--faint); font-size: 12px; }
header { display: flex; gap: 12px; align-items: center; flex-wrap: wrap; }
h1 { font-size: 15px; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 12px; margin: 0; padding: 5px 10px; color: var(--faint); font-weight: 600;
  border-bottom: 1px solid var(--line); background: var(--panel); display: flex; gap: 8px; }
h2 span { flex: 1; }
.bad { color: var(--bad); } .good { color: var(--good); }
button, select { font: inherit; color: inherit; background: var(--panel);
  border: 1px solid var(--line); border-radius: 5px; padding: 2px 8px; cursor: pointer; }
h2 button { padding: 0 8px; }
:focus-visible { outline: 2px solid var(--mark); outline-offset: -2px; }
main { display: grid; min-height: 0; gap: 1px; background: var(--line);
  grid-template-columns: minmax(0,4fr) minmax(0,5fr) minmax(0,5fr);
  grid-template-rows: minmax(0,3fr) minmax(0,2fr); }
section { background: var(--paper); min-width: 0; min-height: 0; display: flex;
  flex-direction: column; }
.scroll { overflow: auto; flex: 1; min-height: 0; position: relative; }
#why { grid-column: span 2; }
.mono, .row, svg text, td { font: 12px/1.5 ui-monospace, Consolas, Menlo, monospace; }
.row { display: flex; white-space: pre; tab-size: 2; cursor: pointer;
  border-left: 3px solid transparent; padding-right: 12px; min-width: max-content; }
.row b { font-weight: 400; color: var(--faint); width: 5em; text-align: right;
  padding-right: 1em; flex: none; }
.row i { font-style: normal; color: var(--faint); padding-left: 2em; }
.row.same { background: var(--same); }
.row.chosen { background: var(--chosen); }
.row.way { border-left-color: var(--way); }
.row.found { color: var(--bad); font-weight: 600; }
.row.dead { opacity: .55; }
.file, .function { padding: 6px 10px 2px; font-weight: 600; }
.gap { color: var(--faint); padding-left: 5.6em; line-height: 1; }
#findings { list-style: none; margin: 0; padding: 4px 8px; }
#findings button { text-align: left; width: 100%; margin: 2px 0; }
#findings button[aria-pressed=true] { border-color: var(--way); box-shadow: 0 0 0 1px var(--way); }
dl { margin: 0; padding: 4px 12px; display: grid; grid-template-columns: max-content 1fr;
  gap: 2px 12px; }
dt { color: var(--faint); } dd { margin: 0; overflow-wrap: anywhere; }
table { border-collapse: collapse; margin: 4px 12px; }
td { padding: 1px 14px 1px 0; vertical-align: top; overflow-wrap: anywhere; }
td:first-child { color: var(--faint); white-space: nowrap; }
p { margin: 4px 12px; }
.step { cursor: pointer; white-space: pre-wrap; }
.step i { font-style: normal; color: var(--faint); padding-left: 2em; }
svg { display: block; }
svg rect { fill: var(--panel); stroke: var(--line); }
svg text { fill: var(--ink); font-size: 11px; }
svg text.title { fill: var(--faint); }
svg g.box { cursor: pointer; }
svg g.chosen rect { fill: var(--chosen); stroke: var(--mark); stroke-width: 2; }
svg g.way rect { stroke: var(--way); stroke-width: 2; }
svg g.found rect { stroke: var(--bad); stroke-width: 3; }
svg g.dead { opacity: .5; }
svg path { fill: none; stroke: var(--faint); stroke-width: 1.2; }
svg path.tip { fill: var(--faint); stroke: none; }
svg path.yes { stroke: var(--good); } svg path.no { stroke: var(--bad); opacity: .8; }
svg path.way { stroke: var(--way); stroke-width: 3; opacity: 1; }
@media (max-width: 800px) { body { height: auto; } main { display: block; }
  section { max-height: 70vh; } }
"""

SCRIPT: Final = r"""
"use strict";
(function () {
  const data = JSON.parse(document.getElementById("data").textContent);
  const SVG = "http://www.w3.org/2000/svg";
  let program = null, chosen = -1, finding = -1, rows = [], sources = [], boxes = [], paths = [];
  let byLine = new Map(), zoom = 1;

  function make(tag, settings, ...children) {
    const element = document.createElement(tag);
    for (const [key, value] of Object.entries(settings || {})) {
      if (key === "text") element.textContent = value;
      else if (key === "on") for (const [event, act] of Object.entries(value))
        element.addEventListener(event, act);
      else element.setAttribute(key, value);
    }
    element.append(...children);
    return element;
  }
  function draw(tag, settings, words) {
    const element = document.createElementNS(SVG, tag);
    for (const [key, value] of Object.entries(settings)) element.setAttribute(key, value);
    if (words !== undefined) element.textContent = words;
    return element;
  }
  function pane(id, title, ...tools) {
    const scroll = make("div", { class: "scroll", id: id + "-view" });
    const heading = make("h2", {}, make("span", { text: title }), ...tools);
    return make("section", { id: id, "aria-label": title }, heading, scroll);
  }
  const tool = (text, name, click) => make("button", { text, "aria-label": name, on: { click } });
  const view = id => document.getElementById(id + "-view");

  const picker = make("select", { id: "program", "aria-label": "program",
    on: { change: () => open(Number(picker.value)) } });
  data.programs.forEach((each, number) => picker.append(
    make("option", { value: number, text: (each.ok ? "" : "\u2717 ") + each.name })));
  const head = make("h1", { id: "head", "aria-live": "polite" });
  document.body.append(
    make("header", {}, ...(data.programs.length > 1 ? [picker] : []), head),
    make("main", {},
      pane("source", "Source"),
      pane("code", "Bytecode"),
      pane("graph", "Control flow",
        tool("\u2212", "smaller", () => scale(0.8)), tool("+", "larger", () => scale(1.25)),
        tool("all", "show all", fit)),
      pane("why", "Findings"),
      pane("state", "Known before this instruction")),
    make("footer", { text: "\u2191 \u2193 move, [ ] block by block, n p finding by finding, " +
      "+ \u2212 0 zoom; click a source line, an instruction or a block. Green: the branch is " +
      "taken, red: it is not, violet: the way to the finding." }));
  view("code").setAttribute("tabindex", "0");
  view("code").setAttribute("role", "listbox");
  view("code").setAttribute("aria-label", "instructions");

  function open(number, instruction) {
    program = data.programs[number];
    picker.value = number;
    head.textContent = program.head;
    head.className = program.ok ? "good" : "bad";
    chosen = -1; finding = -1;
    fillSource(); fillCode(); fillGraph(); fillFindings();
    fit();
    if (zoom < 0.6) resize(0.6);  // a graph too wide to be read whole is read in parts
    const first = program.findings.length ? program.findings[0].instruction : 0;
    if (program.findings.length && instruction === undefined) show(0);
    else choose(instruction === undefined ? first : instruction);
  }

  function fillSource() {
    const out = [];
    sources = []; byLine = new Map();
    program.instructions.forEach((each, index) => {
      if (each[3] < 0) return;
      if (!byLine.has(each[3])) byLine.set(each[3], []);
      byLine.get(each[3]).push(index);
    });
    let file = null, last = 0;
    program.lines.forEach(([name, line, words], number) => {
      if (name !== file) { out.push(make("div", { class: "file", text: name })); last = line - 1; }
      else if (line > last + 1) out.push(make("div", { class: "gap", text: "\u22ee" }));
      file = name; last = line;
      const row = make("div", { class: "row", "data-line": number, on: {
        click: () => choose(byLine.get(number)[0]) } },
        make("b", { text: line }), make("span", { text: words }));
      sources.push(row); out.push(row);
    });
    if (!out.length)
      out.push(make("p", { text: "The object does not say what it was made from." }));
    view("source").replaceChildren(...out);
  }

  function fillCode() {
    const out = [];
    rows = program.instructions.map(([slot, words, remark, , , name], index) => {
      if (name) out.push(make("div", { class: "function", text: name }));
      const row = make("div", { class: "row", id: "i" + index, role: "option",
        "data-slot": slot, on: { click: () => choose(index) } },
        make("b", { text: slot }), make("span", { text: words }));
      if (remark) row.append(make("i", { text: "// " + remark }));
      if (program.recorded && !program.states[index].length) row.classList.add("dead");
      out.push(row);
      return row;
    });
    for (const each of program.findings)
      if (rows[each.instruction]) rows[each.instruction].classList.add("found");
    view("code").replaceChildren(...out);
  }

  function fillGraph() {
    const [width, height, boxWidth, title, line, most] = program.paper;
    const svg = draw("svg", { id: "drawing", viewBox: `0 0 ${width} ${height}`, role: "img",
      "aria-label": "control-flow graph" });
    const tip = draw("marker", { id: "tip", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7,
      markerHeight: 7, orient: "auto", markerUnits: "userSpaceOnUse" });
    tip.append(draw("path", { d: "M0 0 L8 4 L0 8", class: "tip" }));
    const defs = draw("defs", {}); defs.append(tip); svg.append(defs);
    paths = program.edges.map(([source, target, kind, points, aside]) => {
      const path = draw("path", { class: kind, "data-edge": source + "-" + target,
        d: course(points, aside), "marker-end": "url(#tip)" });
      svg.append(path);
      return path;
    });
    boxes = program.boxes.map(([first, last, x, y, height], number) => {
      const group = draw("g", { class: "box", "data-block": number });
      group.append(draw("rect", { x, y, width: boxWidth, height, rx: 4 }));
      const slots = program.instructions;
      const name = slots[first][0] === slots[last][0] ? `slot ${slots[first][0]}`
        : `slots ${slots[first][0]} to ${slots[last][0]}`;
      group.append(draw("text", { x: x + 8, y: y + title - 6, class: "title" }, name));
      const count = last - first + 1, shown = count > most + 1 ? most : count;
      for (let k = 0; k < shown; k++)
        group.append(draw("text", { x: x + 8, y: y + title + line * (k + 1) - 3 },
          shorten(slots[first + k][1])));
      if (shown < count) group.append(draw("text", { x: x + 8, class: "title",
        y: y + title + line * (shown + 1) - 3 }, `\u2026 ${count - shown} more`));
      group.addEventListener("click", () => choose(first));
      if (program.recorded && !program.states[first].length) group.classList.add("dead");
      svg.append(group);
      return group;
    });
    for (const each of program.findings)
      if (rows[each.instruction]) boxOf(each.instruction).classList.add("found");
    view("graph").replaceChildren(svg);
  }
  const shorten = words => words.length > 33 ? words.slice(0, 32) + "\u2026" : words;
  const boxOf = index => boxes[program.instructions[index][4]];
  function course(points, aside) {
    if (aside) return "M" + points.map(point => point.join(" ")).join(" L");
    let out = "M" + points[0].join(" ");
    for (let k = 1; k < points.length; k++) {
      const [x1, y1] = points[k - 1], [x2, y2] = points[k], bend = Math.max(10, (y2 - y1) / 2);
      out += ` C${x1} ${y1 + bend} ${x2} ${y2 - bend} ${x2} ${y2}`;
    }
    return out;
  }

  function scale(factor) { resize(Math.min(2, Math.max(0.02, zoom * factor))); reveal(); }
  function fit() {
    const place = view("graph");
    resize(Math.min(1, Math.max(0.3, (place.clientWidth - 4) / program.paper[0])));
  }
  function resize(wanted) {
    zoom = wanted;
    const svg = document.getElementById("drawing");
    svg.setAttribute("width", program.paper[0] * zoom);
    svg.setAttribute("height", program.paper[1] * zoom);
  }
  function reveal() {
    if (chosen < 0) return;
    const [, , x, y, height] = program.boxes[program.instructions[chosen][4]];
    const place = view("graph");
    place.scrollTo((x + program.paper[2] / 2) * zoom - place.clientWidth / 2,
      (y + height / 2) * zoom - place.clientHeight / 2);
  }

  function fillFindings() {
    const out = [];
    if (!program.findings.length)
      out.push(make("p", { class: program.ok ? "good" : "bad", text: program.ok
        ? "Nothing speaks against this program." : "No answer was found within the budget." }));
    const list = make("ul", { id: "findings" });
    program.findings.forEach((each, number) => list.append(make("li", {}, make("button", {
      "data-finding": number, "aria-pressed": "false", on: { click: () => show(number) },
      text: (each.place ? each.place + ": " : "") + each.message + " [" + each.kind + "]" }))));
    if (program.findings.length) out.push(list, make("div", { id: "explanation" }));
    view("why").replaceChildren(...out);
  }

  function show(number) {
    finding = number;
    const each = program.findings[number];
    document.querySelectorAll("#findings button").forEach((button, position) =>
      button.setAttribute("aria-pressed", String(position === number)));
    document.querySelectorAll(".way").forEach(element => element.classList.remove("way"));
    const way = new Set(each.way);
    way.forEach(index => { rows[index].classList.add("way"); boxOf(index).classList.add("way"); });
    const steps = new Set();
    for (let k = 1; k < each.way.length; k++) {
      const from = program.instructions[each.way[k - 1]][4];
      const to = program.instructions[each.way[k]][4];
      const ends = program.boxes[from][1] === each.way[k - 1];
      if (ends) steps.add(from + "-" + to);
    }
    paths.forEach(path => { if (steps.has(path.dataset.edge)) path.classList.add("way"); });
    const facts = make("dl", {});
    const say = (name, words) => { if (words) facts.append(
      make("dt", { text: name }), make("dd", { text: words })); };
    say("required", each.required);
    each.known.forEach((words, position) => say(position ? "" : "known", words));
    const list = make("dd", {});
    each.steps.forEach(([index, note]) => {
      const [slot, words, remark, line] = program.instructions[index];
      const source = line >= 0 ? program.lines[line][2].trim() : "";
      list.append(make("div", { class: "step mono", tabindex: "0", "data-step": index, on: {
        click: () => choose(index),
        keydown: event => { if (event.key === "Enter") choose(index); } },
        text: `${slot}: ${words}` + (remark ? `  // ${remark}` : "") +
          (note ? `  \u2192 ${note}` : "") }, make("i", { text: source })));
    });
    if (each.elided) list.append(make("div", { text: `\u2026 and ${each.elided} more` }));
    if (each.steps.length)
      facts.append(make("dt", { text: each.followed ? "how" : "one way" }), list);
    say("mend", each.hint);
    document.getElementById("explanation").replaceChildren(facts);
    if (rows[each.instruction]) choose(each.instruction);
  }

  function choose(index) {
    if (!rows[index]) return;
    if (rows[chosen]) {
      rows[chosen].classList.remove("chosen");
      rows[chosen].removeAttribute("aria-selected");
      boxOf(chosen).classList.remove("chosen");
    }
    document.querySelectorAll(".row.same").forEach(row => row.classList.remove("same"));
    sources.forEach(row => row.classList.remove("chosen"));
    chosen = index;
    const row = rows[index], line = program.instructions[index][3];
    row.classList.add("chosen");
    row.setAttribute("aria-selected", "true");
    view("code").setAttribute("aria-activedescendant", row.id);
    for (const other of byLine.get(line) || [])
      if (other !== index) rows[other].classList.add("same");
    row.scrollIntoView({ block: "nearest" });
    if (sources[line]) {
      sources[line].classList.add("chosen");
      sources[line].scrollIntoView({ block: "nearest" });
    }
    boxOf(index).classList.add("chosen");
    reveal();
    fillState();
  }

  function fillState() {
    const out = [], states = program.states[chosen];
    const [slot, words] = program.instructions[chosen];
    out.push(make("p", { class: "mono", text: `${slot}: ${words}` }));
    if (!program.recorded) out.push(make("p", { text: "States were not recorded." }));
    else if (!states.length)
      out.push(make("p", { text: "No run comes here, or the analysis ended before." }));
    states.forEach(([registers, clauses, fails]) => {
      if (fails) out.push(make("p", { class: "bad", text: "When it fails:" }));
      else if (states.length > 1) out.push(make("p", { text: "On other ways here:" }));
      const table = make("table", {});
      registers.forEach(([register, what]) => table.append(make("tr", {},
        make("td", { text: "r" + register }), make("td", { text: data.strings[what] }))));
      out.push(table, make("p", { class: "mono",
        text: clauses.map(clause => data.strings[clause]).join("   ") }));
    });
    view("state").replaceChildren(...out);
    view("state").scrollTo(0, 0);
  }

  function step(distance) {
    choose(Math.max(0, Math.min(rows.length - 1, chosen + distance)));
  }
  document.addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target instanceof HTMLSelectElement) return;
    const block = chosen < 0 ? 0 : program.instructions[chosen][4];
    const count = program.findings.length;
    const acts = {
      ArrowDown: () => step(1), j: () => step(1), ArrowUp: () => step(-1), k: () => step(-1),
      PageDown: () => step(20), PageUp: () => step(-20),
      Home: () => choose(0), End: () => choose(rows.length - 1),
      "]": () => choose(program.boxes[Math.min(block + 1, boxes.length - 1)][0]),
      "[": () => choose(program.boxes[Math.max(block - 1, 0)][0]),
      n: () => { if (count) show((finding + 1) % count); },
      p: () => { if (count) show((finding + count - 1) % count); },
      "+": () => scale(1.25), "-": () => scale(0.8), "0": () => { fit(); reveal(); },
    };
    if (Object.hasOwn(acts, event.key)) { acts[event.key](); event.preventDefault(); }
  });

  const wanted = /^#(\d+)(?:\.(\d+))?$/.exec(location.hash);
  const start = wanted && data.programs[Number(wanted[1])] ? Number(wanted[1]) : 0;
  if (!data.programs.length) head.textContent = "No programs.";
  else open(start, wanted && wanted[2] !== undefined ? Number(wanted[2]) : undefined);
})();
"""
