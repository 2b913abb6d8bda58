// The curves of a run. The page asks the kernel to read the file again; a hidden page does not ask.

function renderTraining({model, el: host}) {
  const show = () => { host.innerHTML = model.get('page') } // the kernel escapes all text from files
  show()
  model.on('change:page', show)
  const ask = () => { if (!document.hidden) model.send({kind: 'look'}) }
  const timer = setInterval(ask, 1000*model.get('every'))
  return () => {
    clearInterval(timer)
    model.off('change:page', show)
  }
}
