// Choices take effect at once, and what is not chosen stays out of the URL.

for (const form of document.querySelectorAll("form.choice")) {
  form.addEventListener("change", () => form.requestSubmit());
  form.addEventListener("submit", () => {
    for (const field of form.elements) field.disabled ||= field.name !== "" && field.value === "";
  });
}
// A browser that goes back shows the page as it was left: with fields that can be used again.
addEventListener("pageshow", () => {
  for (const field of document.querySelectorAll("form.choice [name]")) field.disabled = false;
});
