// Everything that can be pressed: the bar above the pictures, a slider below each plane, the help.

function controls(ctl) {
  const {spec, get, put} = ctl, parts = barParts(ctl), sliders = []
  const fit = el('button', {type: 'button', title: 'the whole picture (key 0)', click: () => ctl.reset()}, 'fit')
  const bar = el('div', {class: 'x2v-bar'},
    ...(spec.modes.length ? [parts.mode, parts.split, parts.scale] : []),
    el('span', {class: 'x2v-group'}, ...parts.presets),
    el('span', {class: 'x2v-group'}, el('label', {}, 'level ', parts.level), el('label', {}, 'width ', parts.width)),
    el('span', {class: 'x2v-group'}, ...parts.zoom, fit))

  function slider(name, h) { // in voxels; what it says is millimetres
    const said = el('output', {}), move = e => {
      const c = [...get('cursor')]
      c[h.cut] = +e.target.value
      put({cursor: c})
    }
    const input = el('input', {type: 'range', min: 0, max: spec.size[h.cut] - 1, step: 1,
      'aria-label': `${name} slice`, 'data-plane': name, input: move})
    sliders.push({h, input, said})
    return el('label', {class: 'x2v-slide'}, el('span', {}, name), input, said)
  }

  function follow(st) { // show a state, wherever it came from
    const mm = where(spec, st.cursor)
    for (const {h, input, said} of sliders) {
      if (+input.value !== st.cursor[h.cut]) input.value = st.cursor[h.cut]
      said.textContent = side(mm[h.cut], h.cut)
      input.setAttribute('aria-valuetext', said.textContent + ' mm')
    }
    parts.follow(st)
  }
  const forget = () => { sliders.length = 0 } // the planes are about to be built anew
  return {bar, help: helpOf(spec), slider, follow, forget}
}

function barParts({spec, get, put, preset, zoom}) {
  const number = (key, title) => { // obeyed while it is typed; half a number waits, and is forgotten on leaving
    const typed = e => {
      const v = +e.target.value, good = e.target.value !== '' && Number.isFinite(v) && (key !== 'width' || v > 0)
      if (good) put({[key]: v})
    }
    const left = e => { e.target.value = get(key) }
    return el('input', {type: 'number', step: 10, title, 'aria-label': title, input: typed, blur: left})
  }
  const level = number('level', 'level: the HU shown as middle gray')
  const width = number('width', 'width: HU from black to white')
  const presets = Object.entries(spec.presets).map(([name, [l, w]], i) => {
    const title = `${l - w/2} to ${l + w/2} HU (key ${i + 1})`
    return el('button', {type: 'button', title, click: () => preset(name)}, name)
  })
  const mode = el('select', {'aria-label': 'how to compare', change: e => put({mode: e.target.value})},
    ...spec.modes.map(m => el('option', {value: m}, m)))
  const split = el('input', {type: 'range', min: 0, max: 1, step: 0.005,
    'aria-label': 'where the swipe divides the picture', input: e => put({split: +e.target.value})})
  const scale = el('span', {class: 'x2v-scale'})
  const zooms = [['−', 0.8, 'zoom out'], ['+', 1.25, 'zoom in']].map(([sign, f, what]) =>
    el('button', {type: 'button', title: what, 'aria-label': what, click: () => zoom(f)}, sign))

  function follow(st) {
    if (document.activeElement !== level) level.value = st.level
    if (document.activeElement !== width) width.value = st.width
    presets.forEach((button, i) => {
      const [l, w] = Object.values(spec.presets)[i]
      button.setAttribute('aria-pressed', l === st.level && w === st.width)
    })
    mode.value = st.mode
    split.hidden = st.mode !== 'swipe'
    split.value = st.split
    const key = scaleOf(spec, st.mode)
    scale.hidden = !key
    if (key) scale.replaceChildren(el('span', {}, key.what), key.from, el('i', {style: `background: ${BARS[st.mode]}`}), key.to)
  }
  return {level, width, presets, mode, split, scale, zoom: zooms, follow}
}

// What the colors of a comparison mean, or null where there are none.
function scaleOf(spec, mode) {
  const [first, second] = spec.layers
  if (mode === 'difference') {
    return {what: `${first} − ${second}, inside the window`, from: `−${spec.error}`, to: `+${spec.error} HU`}
  }
  return mode === 'uncertainty' ? {what: 'uncertainty', from: '0', to: `${spec.uncertainty_hu} HU`} : null
}

function helpOf(spec) {
  const last = Object.keys(spec.presets).length, compare = spec.modes.length ? 'm: next way to compare.' : ''
  return el('details', {class: 'x2v-help'}, el('summary', {}, 'mouse and keys'), [
    'Click or drag: crosshair.',
    'Wheel, ↑ ↓, PageUp, PageDown, Home, End: slices; ← →: crosshair; shift: tens.',
    'Ctrl+wheel, + −: zoom; shift+drag: move; double click or 0: all of it.',
    `Right button or alt+drag: window (sideways width, up and down level); 1–${last}: windows.`, compare].join(' '))
}
