// Shared by every front end: bounds of numbers, elements, keys, bytes from a kernel.

const clamp = (v, lo, hi) => Math.min(Math.max(v, lo), hi)

// An element with attributes and children. A function becomes a listener, `true` an attribute without a value.
function el(name, attrs, ...children) {
  const element = document.createElement(name)
  for (const [key, value] of Object.entries(attrs || {})) {
    if (typeof value === 'function') element.addEventListener(key, value)
    else element.setAttribute(key, value === true ? '' : value)
  }
  element.append(...children)
  return element
}

// Keep keys pressed inside `root` from the page: in JupyterLab an arrow would leave the cell and `x` would cut it.
// Keys with ctrl or alt still reach the page.
function ownKeys(root) {
  root.setAttribute('data-lm-suppress-shortcuts', 'true') // for versions that read keys before this listener
  root.addEventListener('keydown', e => {
    if (!e.ctrlKey && !e.metaKey && !e.altKey) e.stopPropagation()
  })
  return root
}

// The bytes of a widget's field in a buffer of their own, so that they can be read as numbers; null if there are none.
function bytesOf(view) {
  return view && view.byteLength ? view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength) : null
}
