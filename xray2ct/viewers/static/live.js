// The viewer in a notebook: a kernel serves the slices under the crosshair at full resolution. Until a slice arrives,
// the browser cuts it out of the small volume (`preview`) that it received at the start.

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
  const spec = model.get('spec')
  const n = spec.layers.length
  const small = fromPreview(bytesOf(model.get('preview')), spec.preview, n)
  const reduced = spec.preview.some((m, axis) => m !== spec.size[axis])
  const blocks = {} // plane -> its last served block
  const listeners = []
  const on = (key, f) => {
    model.on('change:' + key, f)
    listeners.push([key, f])
  }
  function get(name) {
    const h = spec.planes[name]
    const i = model.get('cursor')[h.cut]
    const buffer = blocks[name] ? null : bytesOf(model.get(name))
    if (buffer) blocks[name] = fromBlock(buffer, spec.size[h.col], spec.size[h.row], n)
    if (blocks[name] && blocks[name].i === i) return blocks[name]
    const nearest = Math.floor((i + 0.5)/spec.size[h.cut]*spec.preview[h.cut])
    return {...hangSlice(small, spec.preview, h, nearest), i, coarse: reduced}
  }
  const state = {
    get: key => model.get(key),
    set: (key, value) => model.set(key, value),
    save: () => model.save_changes(),
    listen: f => STATE.forEach(key => on(key, f)),
  }
  const source = {get, listen: f => Object.keys(spec.planes).forEach(name => on(name, () => {
    delete blocks[name]
    f()
  }))}
  const root = el('div')
  host.append(root)
  const stop = viewer(root, spec, state, source)
  return () => {
    stop()
    listeners.forEach(([key, f]) => model.off('change:' + key, f))
  }
}
