// The viewer in a page without a kernel: the page contains every volume as one PNG of tiled 8-bit slices.

// A volume [z,y,x] of HU from the pixels of its PNG.
function fromTiles(px, sheetWidth, spec) {
  const [nx, ny, nz] = spec.size
  const [lo, hi] = spec.range
  const hu = Int16Array.from({length: 256}, (_, gray) => Math.round(lo + gray*(hi - lo)/255))
  const out = new Int16Array(nx*ny*nz)
  for (let z = 0, o = 0; z < nz; z++) {
    const top = Math.floor(z/spec.tiles)*ny
    const left = (z % spec.tiles)*nx
    for (let y = 0; y < ny; y++) {
      for (let x = 0; x < nx; x++) out[o++] = hu[px[4*((top + y)*sheetWidth + left + x)]]
    }
  }
  return out
}

// The PNG is an attribute, not a picture: where scripts and attributes are stripped, no sheet of tiles is shown.
async function decode(png, spec) {
  const img = new Image()
  img.src = png
  await img.decode()
  const sheet = Object.assign(document.createElement('canvas'), {width: img.naturalWidth, height: img.naturalHeight})
  const ctx = sheet.getContext('2d', {willReadFrequently: true})
  ctx.drawImage(img, 0, 0)
  return fromTiles(ctx.getImageData(0, 0, sheet.width, sheet.height).data, sheet.width, spec)
}

async function boot(root) {
  root.dataset.on = 1
  const spec = JSON.parse(root.dataset.spec)
  const vols = await Promise.all([...root.querySelectorAll('[data-png]')].map(e => decode(e.dataset.png, spec)))
  const values = {cursor: spec.size.map(n => n >> 1), level: spec.level, width: spec.width, mode: spec.mode, split: 0.5}
  const slices = {} // plane -> its last slice
  function get(name) {
    const h = spec.planes[name]
    const i = values.cursor[h.cut]
    if (!slices[name] || slices[name].i !== i) slices[name] = hangSlice(vols, spec.size, h, i)
    return slices[name]
  }
  const state = {get: key => values[key], set: (key, value) => { values[key] = value }, save() {}, listen() {}}
  const host = el('div')
  root.append(host)
  root.classList.add('x2v-live')
  viewer(host, spec, state, {get, listen() {}})
}

// Start every viewer of the page that is not running yet.
function bootAll() {
  for (const root of document.querySelectorAll('.x2v-page:not([data-on])')) boot(root)
}
