// From voxels to places on a picture and to millimeters, and back. `h` says how a plane hangs (see `hanging` in
// viewers.slices): h.cut, h.col, h.row are voxel axes, h.flip means that columns count down.

// RAS millimeters of a voxel (x,y,z).
function voxelToMm(spec, v) {
  return [0, 1, 2].map(r => {
    const a = spec.affine[r]
    return a[0]*v[0] + a[1]*v[1] + a[2]*v[2] + a[3]
  })
}

// One coordinate as text: R 12.3, and L 12.3 on the other side.
const coordinateText = (mm, axis) => (mm < 0 ? 'LPI' : 'RAS')[axis] + ' ' + Math.abs(mm).toFixed(1)
const positionText = mm => mm.map(coordinateText).join(' · ') + ' mm'

// Column and row of a voxel in its pane, and back. Row 0 is at the top.
const colOf = (h, spec, v) => h.flip ? spec.size[h.col] - 1 - v[h.col] : v[h.col]
const rowOf = (h, spec, v) => spec.size[h.row] - 1 - v[h.row]
function voxelAt(h, spec, i, col, row) {
  const v = [0, 0, 0]
  v[h.cut] = i
  v[h.row] = spec.size[h.row] - 1 - row
  v[h.col] = h.flip ? spec.size[h.col] - 1 - col : col
  return v
}

// The point of the picture (0..1) under a mouse event. viewport = {zoom, at: [x, y]}: the point in the pane's middle.
function pointUnder(canvas, viewport, e) {
  const b = canvas.getBoundingClientRect()
  const fromMiddle = [(e.clientX - b.left)/b.width - 0.5, (e.clientY - b.top)/b.height - 0.5]
  return fromMiddle.map((f, a) => viewport.at[a] + f/viewport.zoom)
}

// The voxel (x,y,z) under a mouse event, or null outside the picture.
function voxelUnder(pane, spec, viewport, i, e) {
  const {h} = pane
  const [x, y] = pointUnder(pane.canvas, viewport, e)
  const col = Math.floor(x*spec.size[h.col])
  const row = Math.floor(y*spec.size[h.row])
  const inside = col >= 0 && row >= 0 && col < spec.size[h.col] && row < spec.size[h.row]
  return inside ? voxelAt(h, spec, i, col, row) : null
}

// HU of a voxel in a slice, one number per layer. The slice may be coarser than the volume.
function valuesAt(pane, spec, d, v) {
  const {h} = pane
  const col = Math.floor((colOf(h, spec, v) + 0.5)/spec.size[h.col]*d.w)
  const row = Math.floor((rowOf(h, spec, v) + 0.5)/spec.size[h.row]*d.h)
  return d.data.map(layer => layer[row*d.w + col])
}

// Slice i of volumes [z,y,x] that the browser holds, hung as `h` says.
function hangSlice(vols, size, h, i) {
  const [nx, ny] = size
  const cols = size[h.col]
  const rows = size[h.row]
  const data = vols.map(vol => {
    const out = new Int16Array(cols*rows)
    for (let row = 0, o = 0; row < rows; row++) {
      for (let col = 0; col < cols; col++) {
        const [x, y, z] = voxelAt(h, {size}, i, col, row)
        out[o++] = vol[(z*ny + y)*nx + x]
      }
    }
    return out
  })
  return {i, w: cols, h: rows, data}
}
