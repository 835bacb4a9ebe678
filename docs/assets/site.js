// Wide tables scroll sideways: the keyboard reaches them, too.
const reachable = () => {
  for (const wrap of document.querySelectorAll(".md-typeset__scrollwrap, .highlight code")) {
    if (wrap.scrollWidth > wrap.clientWidth) wrap.tabIndex = 0;
  }
};
new MutationObserver(reachable).observe(document.body, { childList: true, subtree: true });
addEventListener("resize", reachable);
reachable();
