// The picture that is looked for, with a box drawn by mouse or finger and moved by the arrow keys; below it, where
// there are several, all examples.
const LEAST = 0.02, STEP = 0.02, PAUSE_MS = 900;

const within = (value, low, high) => Math.min(Math.max(value, low), high);

// From two corners.
function spanned(from, to) {
  const left = Math.min(from[0], to[0]), top = Math.min(from[1], to[1]);
  return [left, top, Math.abs(from[0] - to[0]), Math.abs(from[1] - to[1])];
}

function moved(box, key, resize) {
  const dx = { ArrowLeft: -STEP, ArrowRight: STEP }[key] ?? 0, dy = { ArrowUp: -STEP, ArrowDown: STEP }[key] ?? 0;
  let [left, top, width, height] = box;
  if (resize) {
    width = within(width + dx, LEAST * 2, 1 - left);
    height = within(height + dy, LEAST * 2, 1 - top);
  } else {
    left = within(left + dx, 0, 1 - width);
    top = within(top + dy, 0, 1 - height);
  }
  return [left, top, width, height];
}

function words(box) {
  const [left, top, width, height] = box.map((part) => `${Math.round(part * 100)} %`);
  return `Region ${width} wide and ${height} high, ${left} from the left, ${top} from the top. ` +
    "Arrow keys move it, Shift and arrow keys resize it, Enter searches, Delete takes it away.";
}

function chip(told, setTriggerValue) {
  const image = element("img", { src: told.src, alt: "" });
  const name = element("span", { class: "name", title: told.name });
  name.textContent = told.name;
  const sign = element("span", { class: "sign" }, told.like ? "+" : "−");
  const words = `${told.like ? "More like" : "Less like"} ${told.name}`;
  const remove = element("button", { type: "button", title: "Take it away", "aria-label": `Take away: ${words}` }, "✕");
  remove.onclick = () => setTriggerValue("removed", told.token);
  return element("li", { class: told.like ? "plus" : "minus", title: words }, sign, image, name, remove);
}

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".part");
  root.chips ??= element("ul", { class: "chips", "aria-label": "Examples" });
  root.chips.replaceChildren(...data.chips.map((told) => chip(told, setTriggerValue)));
  // The same picture again: the page has heard of the box, and what has the focus keeps it.
  if (root.dataset.src === data.src && root.told) {
    root.told(data.box);
    return;
  }
  root.dataset.src = data.src;
  const image = element("img", { src: data.src, alt: `The picture looked for: ${data.name}`, draggable: "false" });
  image.onerror = () => image.replaceWith(element("p", { class: "none" }, "No preview of it is there."));
  const frame = element("div", { class: "box", tabindex: "0", role: "group", "aria-roledescription": "region" });
  const canvas = element("div", { class: "canvas" }, image, frame);
  // The place is kept until the picture is there; a small one is not blown up.
  const [width, height] = data.size;
  canvas.style.aspectRatio = `${width} / ${height}`;
  canvas.style.width = `min(100%, ${width / height} * var(--most), max(${width}px, 9rem))`;
  const toggle = element("button", { type: "button", class: "toggle" });
  const clear = element("button", { type: "button", class: "clear" }, "Whole picture");
  const hint = element("p", { class: "hint" });
  let box = null, asked = null, drawing = false, start = null, later = 0;

  function draw() {
    frame.hidden = !box;
    clear.hidden = !box;
    root.classList.toggle("drawing", drawing);
    toggle.setAttribute("aria-pressed", String(drawing));
    toggle.textContent = box ? "Another region" : "Search by a region";
    toggle.hidden = Boolean(box) && !drawing;
    hint.textContent = drawing ? "Draw a box on the picture, or move the one there with the arrow keys." : "";
    if (!box) return;
    const [left, top, width, height] = box.map((part) => `${part * 100}%`);
    Object.assign(frame.style, { left, top, width, height });
    frame.setAttribute("aria-label", words(box));
  }

  function tell() {
    clearTimeout(later);
    drawing = false;
    draw();
    if (JSON.stringify(box) === JSON.stringify(asked)) return;
    asked = box;
    setTriggerValue("drawn", { box });
  }

  const at = (event) => {
    const place = canvas.getBoundingClientRect();
    return [within((event.clientX - place.left) / place.width, 0, 1),
      within((event.clientY - place.top) / place.height, 0, 1)];
  };
  toggle.onclick = () => {
    drawing = !drawing;
    if (drawing && !box) box = [0.25, 0.25, 0.5, 0.5];
    else if (!drawing) box = asked;
    draw();
    if (drawing) frame.focus();
  };
  clear.onclick = () => {
    box = null;
    tell();
    toggle.focus();
  };
  canvas.onpointerdown = (event) => {
    // A finger scrolls the page unless a region was asked for.
    if (event.button !== 0 || (event.pointerType === "touch" && !drawing)) return;
    event.preventDefault();
    start = at(event);
    canvas.setPointerCapture(event.pointerId);
  };
  canvas.onpointermove = (event) => {
    if (!start) return;
    const drawn = spanned(start, at(event));
    if (drawn[2] < LEAST || drawn[3] < LEAST) return;
    drawing = true;
    box = drawn;
    draw();
  };
  canvas.onpointerup = () => {
    const was = start;
    start = null;
    if (was && drawing && box) tell();
  };
  canvas.onpointercancel = () => {
    start = null;
    box = asked;
    draw();
  };
  frame.onkeydown = (event) => {
    if (!box) return;
    if (event.key.startsWith("Arrow") && !event.altKey) {
      box = moved(box, event.key, event.shiftKey);
      draw();
      clearTimeout(later);
      later = setTimeout(tell, PAUSE_MS);
    } else if (event.key === "Enter") tell();
    else if (event.key === "Delete" || event.key === "Backspace") clear.onclick();
    else if (event.key === "Escape") {
      clearTimeout(later);
      drawing = false;
      box = asked;
      draw();
      toggle.focus();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  };
  root.told = (told) => {
    asked = told ?? null;
    if (drawing || start) return;
    box = asked;
    draw();
  };
  root.told(data.box);
  root.replaceChildren(canvas, element("div", { class: "beside" },
    element("div", { class: "buttons" }, toggle, clear), hint, root.chips));
}
