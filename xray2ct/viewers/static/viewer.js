// The viewer: three linked planes. It holds only the zoom of each plane; everything else belongs to the state.
//   state:  get(key), set(key, value), save(), listen(f)    cursor, level, width, mode, split
//   source: get(plane) -> {i, w, h, data, coarse}, listen(f)

function viewer(root, spec, state, source) {
  const viewports = Object.fromEntries(Object.keys(spec.planes).map(p => [p, {zoom: 1, at: [0.5, 0.5]}]))
  const get = key => state.get(key)
  const resizes = new ResizeObserver(onResize)
  let panes = []
  let builtMode = null
  let frame = 0 // of the next drawing; 0 if none is due
  let hovered = null // {pane, voxel} under the mouse
  const ctl = {...moves(spec, get, put, viewports, draw), spec, get, put, draw, point, hover}
  const ui = controls(ctl)
  const grid = el('div', {class: 'x2v-grid'})
  const line = el('output', {class: 'x2v-line'})
  line.setAttribute('aria-live', 'off') // it changes with every move of the mouse
  const note = el('div', {class: 'x2v-note'}, spec.note || '')
  root.replaceChildren(ui.bar, grid, line, ...(spec.note ? [note] : []), ui.help)
  root.classList.add('x2v')
  ownKeys(root)

  function put(values) {
    for (const [key, value] of Object.entries(values)) state.set(key, value)
    state.save()
    draw()
  }
  function under(pane, e) {
    return voxelUnder(pane, spec, viewports[pane.name], get('cursor')[pane.h.cut], e)
  }
  function point(pane, e) {
    const voxel = under(pane, e)
    if (!voxel) return
    hovered = null
    put({cursor: voxel})
  }
  function hover(pane, e) {
    hovered = pane && {pane, voxel: under(pane, e)}
    showReadout()
  }
  function build() { // one column per plane: its pictures, its slider
    builtMode = get('mode')
    panes = panesOf(spec, builtMode)
    ui.forget()
    const column = ([name, h]) => {
      const canvases = panes.filter(p => p.name === name).map(p => p.canvas)
      return el('div', {class: 'x2v-plane'}, el('div', {class: 'x2v-pics'}, ...canvases), ui.slider(name, h))
    }
    grid.replaceChildren(...Object.entries(spec.planes).map(column))
    for (const pane of panes) {
      listenTo(pane, ctl)
      resizes.observe(pane.canvas)
    }
  }
  function draw() { // at most once per frame of the browser
    if (!frame) frame = requestAnimationFrame(() => { frame = 0; drawNow() })
  }
  function drawNow() {
    if (get('mode') !== builtMode) build()
    const st = Object.fromEntries(['cursor', 'level', 'width', 'mode', 'split'].map(key => [key, get(key)]))
    for (const pane of panes) drawPane(pane, source.get(pane.name), st, spec, viewports[pane.name])
    ui.follow(st)
    showReadout()
  }
  function showReadout() { // of the voxel under the mouse, or else under the crosshair
    const onVoxel = hovered && hovered.voxel
    const pane = onVoxel ? hovered.pane : panes[0]
    const voxel = onVoxel ? hovered.voxel : get('cursor')
    const d = pane && source.get(pane.name)
    if (!d) return
    const hu = valuesAt(pane, spec, d, voxel)
    const mm = voxelToMm(spec, voxel)
    line.textContent = readout(spec, hu, mm, d.coarse)
    Object.assign(line.dataset, {mm: mm.map(m => m.toFixed(3)).join(), hu: hu.join(), voxel: voxel.join()})
  }
  function onResize() {
    root.classList.toggle('x2v-narrow', root.clientWidth < 560)
    draw()
  }
  build()
  resizes.observe(root)
  state.listen(draw)
  source.listen(draw)
  draw()
  return () => resizes.disconnect()
}

// The panes of a comparison: one per volume side by side, otherwise one per plane (layer null).
function panesOf(spec, mode) {
  const volumes = spec.layers.map((_, i) => i).filter(i => i !== spec.uncertainty)
  const compared = mode === 'side by side' ? volumes : [null]
  const layers = spec.modes.length ? compared : [0]
  return Object.entries(spec.planes).flatMap(([name, h]) => layers.map(layer => {
    const title = layer === null ? mode : spec.layers[layer]
    const ratio = spec.size[h.col]*spec.spacing[h.col]/(spec.size[h.row]*spec.spacing[h.row])
    const canvas = el('canvas', {tabindex: 0, role: 'img', style: `aspect-ratio: ${ratio}`, 'data-plane': name,
      'aria-label': `${title}, ${name} slice; ${h.letters[0]} is left, ${h.letters[2]} is up`})
    return {canvas, h, name, layer}
  }))
}

// Position and values as text. A page's values are clamped to `range`, so its ends mean "at most" and "at least".
function readout(spec, hu, mm, coarse) {
  const [lo, hi] = spec.range || [-Infinity, Infinity]
  const about = spec.range || coarse ? '≈ ' : ''
  const number = h => {
    if (h <= lo) return `≤ ${h}`
    return h >= hi ? `≥ ${h}` : about + h
  }
  const parts = hu.map((h, i) => `${spec.layers.length > 1 ? spec.layers[i] + ' ' : ''}${number(h)} HU`)
  if (spec.modes.length) parts.splice(2, 0, `difference ${about}${hu[0] > hu[1] ? '+' : ''}${hu[0] - hu[1]} HU`)
  return [positionText(mm), ...parts].join('   ').replaceAll('-', '−')
}
