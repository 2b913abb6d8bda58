// What every front end needs: numbers held in bounds, elements, bytes from a kernel.

const clamp = (v, lo, hi) => Math.min(Math.max(v, lo), hi)

// An element with attributes and children. A function becomes a listener, `true` an attribute without a value.
function el(name, attrs, ...kids) {
  const e = document.createElement(name)
  for (const [key, value] of Object.entries(attrs || {})) {
    if (typeof value === 'function') e.addEventListener(key, value)
    else e.setAttribute(key, value === true ? '' : value)
  }
  e.append(...kids)
  return e
}

// Keys pressed inside are ours alone: in JupyterLab an arrow would leave the cell, `x` would cut it. Ctrl and alt stay its own.
function ownKeys(root) {
  root.setAttribute('data-lm-suppress-shortcuts', 'true') // for versions that look at keys before we can
  root.addEventListener('keydown', e => { if (!e.ctrlKey && !e.metaKey && !e.altKey) e.stopPropagation() })
  return root
}

// Bytes of a widget's field, on their own so that they can be read as numbers; null while there are none.
function bytesOf(view) {
  return view && view.byteLength ? view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength) : null
}
