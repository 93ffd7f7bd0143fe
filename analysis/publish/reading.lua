-- What Quarto's reader and pandoc's leave in different shapes, in one shape for the filters that follow: a notebook's cells become their
-- code and what came out of it, shortcodes are text again, and the attributes after an equation or a table's caption are attributes.

local OUTPUT = "^cell%-output"
local KEPT = { "layout-ncol", "tbl-colwidths" }

local function is_output(block)
  return block.t == "Div" and block.classes:find_if(function(class) return class:match(OUTPUT) end) ~= nil
end

-- A cell's code is folded away on the page unless the cell says otherwise; on paper there is nothing to unfold.
local function code(block)
  if not block.classes:includes("cell-code") then return nil end
  local folds = FORMAT:match("^html") and block.attributes["code-fold"] ~= "false"
  local attributes = folds and { fold = block.attributes["code-summary"] or "Code" } or {}
  return pandoc.CodeBlock(block.text, pandoc.Attr("", { "python" }, attributes))
end

local function labelled(div, blocks)
  local kind = div.identifier:match("^(%a+)%-")
  if kind ~= "fig" and kind ~= "tbl" then return blocks end
  local caption = div.attributes[kind .. "-cap"]
  if caption then blocks:extend(pandoc.read(caption, "markdown").blocks) end
  local attributes = {}
  for _, name in ipairs(KEPT) do attributes[name] = div.attributes[name] end
  return pandoc.List { pandoc.Div(blocks, pandoc.Attr(div.identifier, {}, attributes)) }
end

local function cell(div)
  local sources, results = pandoc.List(), pandoc.List()
  for _, block in ipairs(div.content) do
    if block.t == "CodeBlock" and block.classes:includes("cell-code") then
      sources:insert(block)
    elseif is_output(block) then
      results:extend(block.content)
    else
      results:insert(block)
    end
  end
  sources:extend(labelled(div, results))
  return sources
end

-- The attributes written at inlines[first], as far as the closing brace, and where that is; nil where there are none.
local function attributes_at(inlines, first)
  local opening = inlines[first]
  if not opening or opening.t ~= "Str" or not opening.text:match("^{#%a+%-") then return nil end
  for last = first, #inlines do
    if inlines[last].t == "Str" and inlines[last].text:match("}$") then
      local written = pandoc.write(pandoc.Pandoc { pandoc.Plain { table.unpack(inlines, first, last) } }, "markdown-smart")
      local plain = written:gsub("\\", ""):gsub("“", '"'):gsub("”", '"'):gsub("%s+", " ")
      return pandoc.read("[x]" .. plain, "markdown").blocks[1].content[1].attr, last
    end
  end
end

local function equations(inlines)
  local result, i = pandoc.List(), 1
  while i <= #inlines do
    local element = inlines[i]
    local attr, last
    if element.t == "Math" and element.mathtype == "DisplayMath" then
      local blank = inlines[i + 1] and inlines[i + 1].t == "Space"
      attr, last = attributes_at(inlines, i + (blank and 2 or 1))
    end
    result:insert(attr and pandoc.Span({ element }, attr) or element)
    i = (last or i) + 1
  end
  return result
end

local function caption(tbl)
  local block = tbl.caption.long[1]
  if tbl.identifier ~= "" or not block then return nil end
  for i, _ in ipairs(block.content) do
    local attr = attributes_at(block.content, i)
    if attr then
      tbl.attr = attr
      block.content = pandoc.List { table.unpack(block.content, 1, i - 2) }
      tbl.caption.long = { block }
      return tbl
    end
  end
end

return {
  { Div = function(div) if div.classes:includes("cell") then return cell(div) end end },
  {
    CodeBlock = code,
    Span = function(span) return span.attributes["data-is-shortcode"] and pandoc.Str(span.attributes["data-raw"] or "") end,
    Inlines = equations,
    Table = caption,
  },
}
