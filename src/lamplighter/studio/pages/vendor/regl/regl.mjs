// regl.min.js, which the page loads before, as a module.
export default window.createREGL;
