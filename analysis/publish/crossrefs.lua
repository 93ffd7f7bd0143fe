-- Quarto's Markdown made plain for pandoc, the same for both formats: numbers for sections, figures, tables and
-- equations; references to them; callouts, layouts, page breaks and blocks meant for one format.
-- Figures and tables become Div.float (kind, number) > Div.caption, content; html.lua and typst.lua write those.

local NAMES = { fig = "Figure", tbl = "Table", sec = "Section", eq = "Equation" }
local CALLOUTS = { note = "Note", tip = "Tip", important = "Important", warning = "Warning", caution = "Caution" }
local stringify = pandoc.utils.stringify

local numbers = {}    -- id -> printed number
local counts = { fig = 0, tbl = 0, eq = 0 }
local sections = { 0, 0, 0, 0, 0, 0 }
local numbered, cites_literature, has_bibliography_place = true, false, false

local function kind_of(id)
  local kind = id:match("^(%a+)%-")
  return NAMES[kind] and kind
end

local function next_number(id, kind)
  if numbers[id] then error("two things are called " .. id) end
  counts[kind] = counts[kind] + 1
  numbers[id] = tostring(counts[kind])
  return numbers[id]
end

-- Conditional content and page breaks -------------------------------------------------------------------------------

local function is_for_us(formats)
  local ours = FORMAT == "typst" and { typst = true, pdf = true } or { html = true }
  for name in formats:gmatch("[%w-]+") do if ours[name] then return true end end
  return false
end

local function conditional(element)
  local visible, hidden = element.classes:includes("content-visible"), element.classes:includes("content-hidden")
  if not (visible or hidden) then return nil end
  local matches = true
  if element.attributes["when-format"] then matches = is_for_us(element.attributes["when-format"]) end
  if element.attributes["unless-format"] then matches = not is_for_us(element.attributes["unless-format"]) end
  return matches == visible and element.content or {}
end

local function pagebreak(para)
  if stringify(para):match("^{{< *pagebreak *>}}$") then return pandoc.Div({}, { class = "pagebreak" }) end
end

-- Figures and tables -------------------------------------------------------------------------------------------------

local function describe(image)
  local alt = image.attributes["fig-alt"] or image.attributes.alt or stringify(image.caption)
  if alt == "" then error("no alt text for " .. image.src .. ": say fig-alt") end
  image.attributes["fig-alt"], image.attributes.alt = nil, nil
  image.caption, image.title = { pandoc.Str(alt) }, ""
  return image
end

local function float(id, kind, number, caption, content)
  if #caption == 0 then error(id .. " has no caption") end
  local body = pandoc.List { pandoc.Div({ pandoc.Plain(caption) }, { class = "caption" }) }
  body:extend(content)
  return pandoc.Div(body, pandoc.Attr(id, { "float" }, { { "kind", kind }, { "number", number } }))
end

local function whole_caption(number, kind, caption)
  local full = pandoc.List { pandoc.Str(NAMES[kind] .. "\u{a0}" .. number .. ":"), pandoc.Space() }
  full:extend(caption)
  return full
end

local function captionable_image(block)
  if block.t == "Figure" then return block.content[1].content[1], block.identifier, block.caption.long end
  if block.t == "Para" and #block.content == 1 and block.content[1].t == "Image" then
    return block.content[1], block.content[1].identifier, {}
  end
end

local function caption_inlines(blocks) return #blocks > 0 and pandoc.utils.blocks_to_inlines(blocks) or {} end

local function layout(blocks, columns)
  return pandoc.Div(blocks, { class = "layout", columns = columns })
end

-- The parts of a figure that has several: each its own caption, "(a) …", and a number such as "1 (a)".
local function subfigures(blocks, number)
  local letter = 0
  return blocks:map(function(block)
    local image, id, caption = captionable_image(block)
    if block.t == "Div" and kind_of(block.identifier) then
      id, caption = block.identifier, block.content:remove().content
    elseif image then
      caption = caption_inlines(caption)
    end
    if not caption then return block end
    letter = letter + 1
    local mark = "(" .. string.char(96 + letter) .. ")"
    if id ~= "" then numbers[id] = number .. "\u{a0}" .. mark end
    local body = image and { pandoc.Plain { image } } or block.content
    local label = pandoc.List { pandoc.Str(mark), pandoc.Space() }
    label:extend(caption)
    local parts = pandoc.List(body)
    if #caption > 0 then parts:insert(pandoc.Div({ pandoc.Plain(label) }, { class = "subcaption" })) end
    return pandoc.Div(parts, { id = id, class = "subfigure" })
  end)
end

local function float_div(div)
  local kind = kind_of(div.identifier)
  local number = next_number(div.identifier, kind)
  local content = div.content
  -- A cell whose Markdown is itself one captioned thing
  local table_inside = kind == "tbl" and content[#content].t == "Table" and content[#content]
  local caption
  if table_inside then
    caption = caption_inlines(table_inside.caption.long)
    table_inside.caption.long = {}
  elseif content[#content].t == "Para" and not captionable_image(content[#content]) then
    caption = content:remove().content
  elseif #content == 1 and content[1].t == "Figure" then
    caption = caption_inlines(content[1].caption.long)
  else
    caption = {}
  end
  local widths = div.attributes["tbl-colwidths"]
  for _, block in ipairs(content) do
    if block.t == "Table" and widths then block.attributes["tbl-colwidths"] = widths end
  end
  local columns = div.attributes["layout-ncol"]
  if columns or #content > 1 and kind == "fig" then
    content = { layout(subfigures(content, number), columns or "1") }
  else
    content = content:map(function(block)
      local image = captionable_image(block)
      return image and pandoc.Plain { image } or block
    end)
  end
  return float(div.identifier, kind, number, whole_caption(number, kind, caption), content)
end

local function float_image(block)
  local image, id, caption = captionable_image(block)
  if not image then return nil end
  if id == "" then id = image.identifier end
  if kind_of(id) ~= "fig" then return pandoc.Plain { image } end
  image.identifier = ""
  local number = next_number(id, "fig")
  return float(id, "fig", number, whole_caption(number, "fig", caption_inlines(caption)), { pandoc.Plain { image } })
end

local function float_table(tbl)
  if kind_of(tbl.identifier) ~= "tbl" then return nil end
  local id, number = tbl.identifier, next_number(tbl.identifier, "tbl")
  local caption = whole_caption(number, "tbl", caption_inlines(tbl.caption.long))
  tbl.identifier, tbl.caption.long = "", {}
  return float(id, "tbl", number, caption, { tbl })
end

-- Callouts -----------------------------------------------------------------------------------------------------------

local function callout(div)
  for _, class in ipairs(div.classes) do
    local kind = class:match("^callout%-(%a+)$")
    if kind and CALLOUTS[kind] then
      local title = div.attributes.title and pandoc.read(div.attributes.title, "markdown").blocks[1].content
      if not title and div.content[1] and div.content[1].t == "Header" then
        title = div.content:remove(1).content
      end
      div.content:insert(1, pandoc.Div({ pandoc.Plain(title or { pandoc.Str(CALLOUTS[kind]) }) },
        { class = "callout-title" }))
      return pandoc.Div(div.content, { class = "callout callout-" .. kind, kind = kind, id = div.identifier })
    end
  end
end

-- Sections -----------------------------------------------------------------------------------------------------------

local function section(header)
  if not numbered or header.classes:includes("unnumbered") then return nil end
  sections[header.level] = sections[header.level] + 1
  for deeper = header.level + 1, 6 do sections[deeper] = 0 end
  local number = table.concat(sections, ".", 1, header.level)
  numbers[header.identifier] = number
  header.attributes.number = number
  return header
end

-- The passes ---------------------------------------------------------------------------------------------------------

local number_everything = {
  traverse = "topdown",
  Div = function(div)
    local chosen = conditional(div)
    if chosen then return chosen end
    if div.identifier == "refs" then has_bibliography_place = true end
    if div.classes:includes("float") or div.classes:includes("subfigure") then return nil end  -- done already
    local kind = kind_of(div.identifier)
    if kind == "fig" or kind == "tbl" then return float_div(div) end
    if div.attributes["layout-ncol"] then return layout(div.content, div.attributes["layout-ncol"]) end
    return callout(div)
  end,
  Figure = float_image,
  Para = function(para) return pagebreak(para) or float_image(para) end,
  Table = float_table,
  Header = section,
  Span = function(span)
    local chosen = conditional(span)
    if chosen then return chosen end
    if kind_of(span.identifier) == "eq" and #span.content == 1 and span.content[1].t == "Math" then
      span.attributes.number = next_number(span.identifier, "eq")
      return span
    end
  end,
}

local function refer(cite)
  local inlines = pandoc.List()
  for i, citation in ipairs(cite.citations) do
    local kind = kind_of(citation.id)
    if not kind then
      cites_literature = true
      return nil
    end
    local number = numbers[citation.id]
    if not number then error("a reference to @" .. citation.id .. ", which this document does not define") end
    if i > 1 then inlines:extend { pandoc.Str(","), pandoc.Space() } end
    if #citation.prefix > 0 then
      inlines:extend(citation.prefix)
      inlines:insert(pandoc.Space())
    end
    local text = citation.mode == "SuppressAuthor" and number or NAMES[kind] .. "\u{a0}" .. number
    inlines:insert(pandoc.Link(text, "#" .. citation.id))
    inlines:extend(citation.suffix)
  end
  return inlines
end

return {
  { Meta = function(meta) numbered = meta.numbered end },
  number_everything,
  { Image = describe, Cite = refer },
  { Pandoc = function(document)
      if cites_literature and not has_bibliography_place then
        document.blocks:insert(pandoc.Header(1, "References", { id = "references", class = "unnumbered" }))
        document.blocks:insert(pandoc.Div({}, { id = "refs" }))
      end
      return document
    end },
}
