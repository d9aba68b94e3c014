// How many hits have which score, and a slider for the least score that is shown.
const BINS = 48, PAUSE_MS = 300;

// `scores` is best first.
function counted(scores, low, high) {
  const bins = new Array(BINS).fill(0);
  for (const score of scores) {
    bins[Math.min(BINS - 1, Math.floor(((score - low) / (high - low)) * BINS))] += 1;
  }
  return bins;
}

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".part");
  const known = JSON.stringify(data.scores);
  // The slider keeps the focus when only the cut has changed.
  if (root.known === known) {
    root.told(data.cut);
    return;
  }
  root.known = known;
  const { scores } = data;
  const low = Math.floor(scores[scores.length - 1] * 100) / 100;
  const high = Math.max(Math.ceil(scores[0] * 100) / 100, low + 0.01);
  const bins = counted(scores, low, high);
  const most = Math.max(...bins);
  const bars = element("div", { class: "bars", "aria-hidden": "true" });
  for (const count of bins) {
    const bar = element("i");
    // By the square root: a few close hits are seen beside hundreds of far ones.
    bar.style.height = `${count ? Math.max(6, 100 * Math.sqrt(count / most)) : 0}%`;
    bars.append(bar);
  }
  const slider = element("input", { type: "range", min: low, max: high, step: "0.01", id: "cut" });
  const label = element("label", { for: "cut" });
  const reset = element("button", { type: "button" }, "Show all");

  function draw() {
    const cut = Number(slider.value);
    const above = scores.filter((score) => score >= cut).length;
    label.textContent = `Score of at least ${cut.toFixed(2)}: ${above} of the best ${scores.length}`;
    slider.setAttribute("aria-valuetext", label.textContent);
    [...bars.children].forEach((bar, i) => bar.classList.toggle("out", low + ((i + 1) / BINS) * (high - low) <= cut));
    reset.hidden = cut <= low;
  }

  let later = 0;
  root.told = (cut) => {
    // What the page says of an earlier place does not take the slider out of a hand that still moves it.
    if (later) return;
    slider.value = cut ?? low;
    draw();
  };
  const tell = () => {
    later = 0;
    const cut = Number(slider.value);
    setTriggerValue("moved", { cut: cut <= low ? null : cut });
  };
  slider.oninput = () => {
    draw();
    clearTimeout(later);
    later = setTimeout(tell, PAUSE_MS);
  };
  reset.onclick = () => {
    slider.value = low;
    draw();
    clearTimeout(later);
    tell();
    slider.focus();
  };
  root.told(data.cut);
  root.replaceChildren(label, bars, slider, reset);
}
