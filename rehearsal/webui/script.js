// What every script of the real page leans on.
window.gradioApp = () => document;
