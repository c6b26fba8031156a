// A button with data-copy="some-id" copies the text of the element with that id, and says so.
for (const button of document.querySelectorAll("button[data-copy]")) {
  button.hidden = false
  button.addEventListener("click", async () => {
    const source = document.getElementById(button.dataset.copy)
    try {
      await navigator.clipboard.writeText(source.textContent.trim())
      button.textContent = "Copied"
    } catch { // no permission, or no HTTPS: leave it selected for the keyboard
      getSelection().selectAllChildren(source)
      button.textContent = "Selected: press Ctrl+C"
    }
  })
}
