// Actions of mouse, keys and buttons: they change the state and the viewports.

// viewports: plane -> {zoom, at: [x, y]}, where `at` is the point of the picture in the middle of the pane.
function moves(spec, get, put, viewports, draw) {
  const settle = viewport => { // no black margin
    viewport.at = viewport.at.map(a => clamp(a, 0.5/viewport.zoom, 1 - 0.5/viewport.zoom))
  }
  return {
    settle,
    viewport: plane => viewports[plane],
    step(axis, by) {
      const cursor = [...get('cursor')]
      cursor[axis] = clamp(cursor[axis] + by, 0, spec.size[axis] - 1)
      put({cursor})
    },
    zoom(factor, canvas, e) { // all planes alike; the point under the mouse stays where it is
      for (const [name, viewport] of Object.entries(viewports)) {
        const zoom = clamp(viewport.zoom*factor, 1, 16)
        const underMouse = canvas && e && name === canvas.dataset.plane
        const point = underMouse ? pointUnder(canvas, viewport, e) : viewport.at
        viewport.at = viewport.at.map((a, i) => point[i] + (a - point[i])*viewport.zoom/zoom)
        viewport.zoom = zoom
        settle(viewport)
      }
      draw()
    },
    reset() {
      for (const viewport of Object.values(viewports)) Object.assign(viewport, {zoom: 1, at: [0.5, 0.5]})
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
    nearSplit(pane, e) { // within nine pixels of the swipe's line
      if (pane.layer !== null || get('mode') !== 'swipe') return false
      const viewport = viewports[pane.name]
      const width = pane.canvas.getBoundingClientRect().width
      const distance = pointUnder(pane.canvas, viewport, e)[0] - get('split')
      return Math.abs(distance*viewport.zoom*width) < 9
    },
  }
}
