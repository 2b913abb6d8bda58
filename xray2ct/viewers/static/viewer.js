// The viewer: three linked planes. It keeps only how far each plane is zoomed; everything else is the state's.
//   state:  get(key), set(key, value), save(), listen(f)    cursor, level, width, mode, split
//   source: get(plane) -> {i, w, h, data, coarse}, listen(f)

function viewer(root, spec, state, source) {
  const looks = Object.fromEntries(Object.keys(spec.planes).map(p => [p, {zoom: 1, at: [0.5, 0.5]}]))
  const get = key => state.get(key), sized = new ResizeObserver(resize)
  let panes = [], shown = null, waiting = 0, over = null
  const ctl = {...moves(spec, get, put, looks, draw), spec, get, put, draw, point, hover}
  const ui = controls(ctl), grid = el('div', {class: 'x2v-grid'}), line = el('output', {class: 'x2v-line'})
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
  function under(pane, e) { return voxelUnder(pane, spec, looks[pane.name], get('cursor')[pane.h.cut], e) }
  function point(pane, e) {
    const v = under(pane, e)
    if (!v) return
    over = null
    put({cursor: v})
  }
  function hover(pane, e) {
    over = pane && {pane, v: under(pane, e)}
    tell()
  }
  function build() { // one column a plane: its pictures, its slider
    shown = get('mode')
    panes = panesOf(spec, shown)
    ui.forget()
    const column = ([name, h]) => {
      const mine = panes.filter(p => p.name === name)
      return el('div', {class: 'x2v-plane'}, el('div', {class: 'x2v-pics'}, ...mine.map(p => p.canvas)), ui.slider(name, h))
    }
    grid.replaceChildren(...Object.entries(spec.planes).map(column))
    for (const p of panes) {
      listen(p, ctl)
      sized.observe(p.canvas)
    }
  }
  function draw() { // once a frame, however often it is asked for
    if (!waiting) waiting = requestAnimationFrame(() => { waiting = 0; now() })
  }
  function now() {
    if (get('mode') !== shown) build()
    const st = Object.fromEntries(['cursor', 'level', 'width', 'mode', 'split'].map(key => [key, get(key)]))
    for (const p of panes) drawPane(p, source.get(p.name), st, spec, looks[p.name])
    ui.follow(st)
    tell()
  }
  function tell() { // what is under the mouse, or else under the crosshair
    const hovers = over && over.v, pane = hovers ? over.pane : panes[0], v = hovers ? over.v : get('cursor')
    const d = pane && source.get(pane.name)
    if (!d) return
    const hu = valuesAt(pane, spec, d, v), mm = where(spec, v)
    line.textContent = readout(spec, hu, mm, d.coarse)
    Object.assign(line.dataset, {mm: mm.map(m => m.toFixed(3)).join(), hu: hu.join(), voxel: v.join()})
  }
  function resize() {
    root.classList.toggle('x2v-narrow', root.clientWidth < 560)
    draw()
  }
  build()
  sized.observe(root)
  state.listen(draw)
  source.listen(draw)
  draw()
  return () => sized.disconnect()
}

// The pictures of a way to compare: a pane for each volume side by side, otherwise one (layer null) a plane.
function panesOf(spec, mode) {
  const volumes = spec.layers.map((_, i) => i).filter(i => i !== spec.uncertainty)
  const layers = !spec.modes.length ? [0] : mode === 'side by side' ? volumes : [null]
  return Object.entries(spec.planes).flatMap(([name, h]) => layers.map(layer => {
    const what = layer === null ? mode : spec.layers[layer]
    const ratio = spec.size[h.col]*spec.spacing[h.col]/(spec.size[h.row]*spec.spacing[h.row])
    const canvas = el('canvas', {tabindex: 0, role: 'img', style: `aspect-ratio: ${ratio}`, 'data-plane': name,
      'aria-label': `${what}, ${name} slice; ${h.letters[0]} is left, ${h.letters[2]} is up`})
    return {canvas, h, name, layer}
  }))
}

// What hands and buttons can do to the state and to the looks.
function moves(spec, get, put, looks, draw) {
  const settle = look => { // no black margin
    look.at = look.at.map(a => clamp(a, 0.5/look.zoom, 1 - 0.5/look.zoom))
  }
  return {
    settle,
    look: plane => looks[plane],
    step(axis, by) {
      const c = [...get('cursor')]
      c[axis] = clamp(c[axis] + by, 0, spec.size[axis] - 1)
      put({cursor: c})
    },
    zoom(f, canvas, e) { // all planes alike; the point under the mouse stays where it is
      for (const [name, look] of Object.entries(looks)) {
        const z = clamp(look.zoom*f, 1, 16), held = canvas && e && name === canvas.dataset.plane
        const point = held ? pointUnder(canvas, look, e) : look.at
        look.at = look.at.map((a, i) => point[i] + (a - point[i])*look.zoom/z)
        look.zoom = z
        settle(look)
      }
      draw()
    },
    reset() {
      for (const look of Object.values(looks)) Object.assign(look, {zoom: 1, at: [0.5, 0.5]})
      draw()
    },
    preset(name) {
      const [level, width] = spec.presets[name]
      put({level, width})
    },
    nextMode() {
      const i = spec.modes.indexOf(get('mode'))
      if (spec.modes.length) put({mode: spec.modes[(i + 1) % spec.modes.length]})
    },
    nearSplit(pane, e) { // within nine pixels of the swipe's line?
      if (pane.layer !== null || get('mode') !== 'swipe') return false
      const look = looks[pane.name], b = pane.canvas.getBoundingClientRect()
      return Math.abs((pointUnder(pane.canvas, look, e)[0] - get('split'))*look.zoom*b.width) < 9
    },
  }
}

// Place and values in words. `range`: what a page carries is clamped to it, so its ends say "at most", "at least".
function readout(spec, hu, mm, coarse) {
  const [lo, hi] = spec.range || [-Infinity, Infinity]
  const about = spec.range || coarse ? '≈ ' : ''
  const number = h => h <= lo ? `≤ ${h}` : h >= hi ? `≥ ${h}` : about + h
  const said = hu.map((h, i) => `${spec.layers.length > 1 ? spec.layers[i] + ' ' : ''}${number(h)} HU`)
  if (spec.modes.length) said.splice(2, 0, `difference ${about}${hu[0] > hu[1] ? '+' : ''}${hu[0] - hu[1]} HU`)
  return [words(mm), ...said].join('   ').replaceAll('-', '−')
}
