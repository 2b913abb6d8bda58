// The curves of a run. The page asks the kernel to look at the file; while nobody sees the page, nobody asks.

function renderTraining({model, el: host}) {
  const show = () => { host.innerHTML = model.get('page') } // the kernel escapes whatever comes from a file
  show()
  model.on('change:page', show)
  const look = () => { if (!document.hidden) model.send({kind: 'look'}) }
  const asking = setInterval(look, 1000*model.get('every'))
  return () => {
    clearInterval(asking)
    model.off('change:page', show)
  }
}
