-- The citations, by pandoc's own citeproc. Quarto would cite last, after typst.lua has written parts of the document.
return { { Pandoc = function(document) return pandoc.utils.citeproc(document) end } }
