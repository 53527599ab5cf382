// The slider over a run's epochs: theta follows it, and then the address. Where theta cannot, the
// browser goes to the address itself, and says or shows why.

import { swap } from "./swap.js";

const slider = document.getElementById("epoch");
const shown = document.getElementById("epoch-shown");
const WAIT_MS = 120; // of quiet, before the page is asked for

let waiting = 0;

function address() {
  const url = new URL(location.href);
  url.searchParams.set("epoch", slider.value);
  return url;
}

function follow() {
  shown.textContent = slider.value;
  clearTimeout(waiting);
  waiting = setTimeout(async () => {
    const url = address();
    if (await swap(url)) history.replaceState(null, "", url);
    else location.assign(url);
  }, WAIT_MS);
}

if (slider !== null) {
  slider.addEventListener("input", follow);
  slider.form.addEventListener("submit", (event) => {
    event.preventDefault();
    follow();
  });
}
