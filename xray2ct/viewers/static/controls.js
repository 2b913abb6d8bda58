// Everything that can be pressed: the bar above the pictures, a slider below each plane, the help.

function controls(ctl) {
  const {spec, get, put} = ctl
  const parts = barParts(ctl)
  const sliders = []
  const fit = el('button', {type: 'button', title: 'the whole picture (key 0)', click: () => ctl.reset()}, 'fit')
  const bar = el('div', {class: 'x2v-bar'},
    ...(spec.modes.length ? [parts.mode, parts.split, parts.scale] : []),
    el('span', {class: 'x2v-group'}, ...parts.presets),
    el('span', {class: 'x2v-group'}, el('label', {}, 'level ', parts.level), el('label', {}, 'width ', parts.width)),
    el('span', {class: 'x2v-group'}, ...parts.zoom, fit))

  function slider(name, h) { // counts voxels, shows millimeters
    const output = el('output', {})
    const move = e => {
      const cursor = [...get('cursor')]
      cursor[h.cut] = +e.target.value
      put({cursor})
    }
    const input = el('input', {type: 'range', min: 0, max: spec.size[h.cut] - 1, step: 1,
      'aria-label': `${name} slice`, 'data-plane': name, input: move})
    sliders.push({h, input, output})
    return el('label', {class: 'x2v-slide'}, el('span', {}, name), input, output)
  }

  function follow(st) { // show a state, wherever it comes from
    const mm = voxelToMm(spec, st.cursor)
    for (const {h, input, output} of sliders) {
      if (+input.value !== st.cursor[h.cut]) input.value = st.cursor[h.cut]
      output.textContent = coordinateText(mm[h.cut], h.cut)
      input.setAttribute('aria-valuetext', output.textContent + ' mm')
    }
    parts.follow(st)
  }
  const forget = () => { sliders.length = 0 } // the planes are about to be built again
  return {bar, help: helpOf(spec), slider, follow, forget}
}

// A number that takes effect while it is typed; half a number waits, and is discarded when the field loses focus.
function numberField({get, put}, key, title) {
  const typed = e => {
    const v = +e.target.value
    const valid = e.target.value !== '' && Number.isFinite(v) && (key !== 'width' || v > 0)
    if (valid) put({[key]: v})
  }
  const left = e => { e.target.value = get(key) }
  return el('input', {type: 'number', step: 10, title, 'aria-label': title, input: typed, blur: left})
}

function barParts(ctl) {
  const {spec, put, preset, zoom} = ctl
  const level = numberField(ctl, 'level', 'level: the HU shown as middle gray')
  const width = numberField(ctl, 'width', 'width: HU from black to white')
  const presets = Object.entries(spec.presets).map(([name, [l, w]], i) => {
    const title = `${l - w/2} to ${l + w/2} HU (key ${i + 1})`
    return el('button', {type: 'button', title, click: () => preset(name)}, name)
  })
  const mode = el('select', {'aria-label': 'comparison', change: e => put({mode: e.target.value})},
    ...spec.modes.map(m => el('option', {value: m}, m)))
  const split = el('input', {type: 'range', min: 0, max: 1, step: 0.005,
    'aria-label': 'where the swipe divides the picture', input: e => put({split: +e.target.value})})
  const scale = el('span', {class: 'x2v-scale'})
  const zooms = [['−', 0.8, 'zoom out'], ['+', 1.25, 'zoom in']].map(([sign, factor, title]) =>
    el('button', {type: 'button', title, 'aria-label': title, click: () => zoom(factor)}, sign))

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
    if (key) scale.replaceChildren(el('span', {}, key.title), key.from, el('i', {style: `background: ${BARS[st.mode]}`}), key.to)
  }
  return {level, width, presets, mode, split, scale, zoom: zooms, follow}
}

// The meaning of a comparison's colors, or null where there are none.
function scaleOf(spec, mode) {
  const [first, second] = spec.layers
  if (mode === 'difference') {
    return {title: `${first} − ${second}, inside the window`, from: `−${spec.error}`, to: `+${spec.error} HU`}
  }
  return mode === 'uncertainty' ? {title: 'uncertainty', from: '0', to: `${spec.uncertainty_hu} HU`} : null
}

function helpOf(spec) {
  const last = Object.keys(spec.presets).length
  const compare = spec.modes.length ? 'm: next comparison.' : ''
  return el('details', {class: 'x2v-help'}, el('summary', {}, 'mouse and keys'), [
    'Click or drag: crosshair.',
    'Wheel, ↑ ↓, PageUp, PageDown, Home, End: slices; ← →: crosshair; with shift: steps of ten.',
    'Ctrl+wheel, + −: zoom; shift+drag: move; double click or 0: the whole picture.',
    `Right button or alt+drag: window (sideways width, up and down level); 1–${last}: windows.`, compare].join(' '))
}
