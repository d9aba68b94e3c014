// Two pictures under the heat of what made them alike. A place of one, pointed at or gone to by the arrow keys, shows
// what it matches in the other. All text comes as data and goes in as textContent.
const HEAT_STOPS = [[68, 1, 84], [71, 44, 122], [59, 81, 139], [44, 113, 142], [33, 144, 141], [39, 173, 129],
  [92, 200, 99], [170, 220, 50], [253, 231, 37]];
const HEAT_START = 60;

function heatColour(value) {
  const at = Math.min(Math.max(value, 0), 1) * (HEAT_STOPS.length - 1);
  const low = Math.min(Math.floor(at), HEAT_STOPS.length - 2);
  return HEAT_STOPS[low].map((from, i) => Math.round(from + (at - low) * (HEAT_STOPS[low + 1][i] - from)));
}

function heatMade(kind, name, ...inside) {
  const made = document.createElement(kind);
  if (name) made.className = name;
  made.append(...inside);
  return made;
}

// `values` row by row, the largest colour at `most`.
function heatDrawn(canvas, values, most) {
  const pen = canvas.getContext("2d");
  const pixels = pen.createImageData(canvas.width, canvas.height);
  values.forEach((value, i) => pixels.data.set([...heatColour(most > 0 ? value / most : 0), 255], 4 * i));
  pen.putImageData(pixels, 0, 0);
}

// One picture: `heat(values, most)` draws, `mark(cell)` frames one of its cells.
function heatPicture(told, area, [rows, columns], acts) {
  const [x, y, width, height] = area.map((part) => 100 * part);
  const place = { left: `${x}%`, top: `${y}%`, width: `${width}%`, height: `${height}%` };
  const image = heatMade("img");
  image.src = told.src;
  image.alt = told.name;
  const unseen = heatMade("div", "unseen");
  const corners = [[x, y], [x + width, y], [x + width, y + height], [x, y + height], [x, y]];
  unseen.style.clipPath = `polygon(evenodd, 0 0, 100% 0, 100% 100%, 0 100%, 0 0, ${
    corners.map(([left, top]) => `${left}% ${top}%`).join(", ")})`;
  const canvas = heatMade("canvas", "heat");
  Object.assign(canvas, { width: columns, height: rows });
  const cells = heatMade("div", "cells");
  cells.setAttribute("role", "group");
  cells.setAttribute("aria-label", `Places of ${told.name}. Arrow keys go from one to the next.`);
  cells.style.gridTemplate = `repeat(${rows}, 1fr) / repeat(${columns}, 1fr)`;
  for (const part of [canvas, cells]) Object.assign(part.style, place);
  const buttons = told.cells.map((value, i) => {
    const button = heatMade("button", "cell");
    button.type = "button";
    button.tabIndex = i ? -1 : 0;
    button.setAttribute("aria-label",
      `Row ${Math.floor(i / columns) + 1}, column ${i % columns + 1}: adds ${value.toFixed(4)}`);
    button.onpointerenter = (event) => { if (event.pointerType !== "touch") acts.point(i); };
    button.onclick = () => acts.keep(i);
    button.onfocus = () => {
      buttons.forEach((other) => { other.tabIndex = other === button ? 0 : -1; });
      if (button.matches(":focus-visible")) acts.point(i);
    };
    return button;
  });
  cells.append(...buttons);
  cells.onpointerleave = acts.leave;
  cells.onkeydown = (event) => {
    const at = buttons.indexOf(event.target);
    const [row, column] = [Math.floor(at / columns), at % columns];
    const to = { ArrowLeft: [row, column - 1], ArrowRight: [row, column + 1], ArrowUp: [row - 1, column],
      ArrowDown: [row + 1, column] }[event.key];
    if (at < 0 || !to || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    event.stopPropagation();
    if (to[0] >= 0 && to[0] < rows && to[1] >= 0 && to[1] < columns) buttons[to[0] * columns + to[1]].focus();
  };
  const shown = heatMade("div", "shown", image, unseen, canvas, cells);
  // No taller than the window, whatever its shape, and as wide as there is room.
  image.onload = () => { shown.style.width = `min(100%, ${(70 * image.naturalWidth) / image.naturalHeight}vh)`; };
  image.onerror = () => { image.replaceWith(heatMade("p", "lost", "No preview")); };
  const caption = heatMade("figcaption");
  caption.append(heatMade("bdi"));
  caption.firstChild.textContent = told.name;
  return {
    figure: heatMade("figure", "", shown, caption),
    heat: (values, most) => heatDrawn(canvas, values, most),
    mark: (cell) => buttons.forEach((button, i) => {
      button.classList.toggle("marked", i === cell);
      button.setAttribute("aria-pressed", String(i === cell));
    }),
  };
}

// `data` as simsearch.report.quality.explanation.machine.viewer_data makes it; `sides` are {src, name}, the first first.
function heatViewer(data, sides) {
  const [count, other] = data.cells.map((cells) => cells.length);
  const most = Math.max(...data.cells.map((cells) => Math.max(...cells)));
  const words = heatMade("p", "told");
  words.setAttribute("aria-live", "polite");
  const least = heatMade("span"), top = heatMade("span");
  let kept = null;

  const matches = (side, cell) => side === 0
    ? data.pairs.slice(cell * other, (cell + 1) * other)
    : Array.from({ length: count }, (_, row) => data.pairs[row * other + cell]);

  function show(picked) {
    const values = [data.cells[0], data.cells[1]];
    let scale = most;
    words.textContent = `Point at a place of one picture, or tap it, to see what it matches in the other.`;
    if (picked) {
      const [side, cell] = picked;
      values[1 - side] = matches(side, cell);
      scale = Math.max(...values[1 - side]);
      words.textContent = `This place adds ${data.cells[side][cell].toFixed(4)} to the score of ${
        data.score.toFixed(4)}; the other picture shows where that comes from.`;
    }
    pictures.forEach((picture, side) => {
      picture.heat(values[side], picked && side !== picked[0] ? scale : most);
      picture.mark(picked && side === picked[0] ? picked[1] : -1);
    });
    least.textContent = "0";
    top.textContent = Math.max(scale, 0).toFixed(4);
  }

  const pictures = sides.map((told, side) => heatPicture({ ...told, cells: data.cells[side] }, data.areas[side], data.grid, {
    point: (cell) => show([side, cell]),
    keep: (cell) => {
      kept = kept && kept[0] === side && kept[1] === cell ? null : [side, cell];
      show(kept);
    },
    leave: () => show(kept),
  }));
  const slider = heatMade("input");
  Object.assign(slider, { type: "range", min: 0, max: 100, value: HEAT_START });
  const root = heatMade("div", "why",
    heatMade("div", "pair", ...pictures.map((picture) => picture.figure)),
    words,
    heatMade("div", "set", heatMade("label", "", "Strength of the heat ", slider),
      heatMade("span", "scale", "Part of the score: ", least, heatMade("i", "ramp"), top),
      heatMade("span", "scale", heatMade("i", "hatch"), "not looked at")));
  slider.onkeydown = (event) => { if (event.key.startsWith("Arrow")) event.stopPropagation(); };
  slider.oninput = () => root.style.setProperty("--strength", slider.value / 100);
  slider.oninput();
  root.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !kept) return;
    event.preventDefault();
    event.stopPropagation();
    kept = null;
    show(null);
  });
  show(null);
  return root;
}
