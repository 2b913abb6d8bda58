// The viewer in a notebook: a kernel serves the slices under the crosshair at full resolution. Until one arrives the
// browser cuts it out of the small volume (`preview`) that it was given at the start.

const STATE = ['cursor', 'level', 'width', 'mode', 'split']

// One served block: the slice number (int32), then the slice of every layer (int16).
function fromBlock(buffer, w, h, n) {
  const data = Array.from({length: n}, (_, k) => new Int16Array(buffer, 4 + 2*w*h*k, w*h))
  return {i: new Int32Array(buffer, 0, 1)[0], w, h, data}
}

// The small volumes, one after the other.
function fromPreview(buffer, size, n) {
  const voxels = size[0]*size[1]*size[2]
  return Array.from({length: n}, (_, k) => new Int16Array(buffer, 2*voxels*k, voxels))
}

function renderSlices({model, el: host}) {
  const spec = model.get('spec'), kept = {}, heard = [], n = spec.layers.length
  const small = fromPreview(bytesOf(model.get('preview')), spec.preview, n)
  const reduced = spec.preview.some((m, axis) => m !== spec.size[axis])
  const on = (key, f) => {
    model.on('change:' + key, f)
    heard.push([key, f])
  }
  function get(name) {
    const h = spec.planes[name], i = model.get('cursor')[h.cut], buffer = kept[name] ? null : bytesOf(model.get(name))
    if (buffer) kept[name] = fromBlock(buffer, spec.size[h.col], spec.size[h.row], n)
    if (kept[name] && kept[name].i === i) return kept[name]
    const near = Math.floor((i + 0.5)/spec.size[h.cut]*spec.preview[h.cut])
    return {...cut(small, spec.preview, h, near), i, coarse: reduced}
  }
  const state = {
    get: key => model.get(key),
    set: (key, value) => model.set(key, value),
    save: () => model.save_changes(),
    listen: f => STATE.forEach(key => on(key, f)),
  }
  const source = {get, listen: f => Object.keys(spec.planes).forEach(name => on(name, () => {
    delete kept[name]
    f()
  }))}
  const root = el('div')
  host.append(root)
  const stop = viewer(root, spec, state, source)
  return () => {
    stop()
    heard.forEach(([key, f]) => model.off('change:' + key, f))
  }
}
