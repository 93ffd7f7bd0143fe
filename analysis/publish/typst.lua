-- What the tagged PDF needs beyond pandoc's own Typst writer: alt text on images, captions and numbers that are the
-- page's own, callouts, layouts, and tables that came as HTML. Runs last, after the citations.

local function quoted(text)
  return '"' .. text:gsub("\\", "\\\\"):gsub('"', '\\"'):gsub("%s+", " ") .. '"'
end

local function typst(blocks)
  return (pandoc.write(pandoc.Pandoc(blocks), "typst", { wrap_text = "none" }):gsub("%s+$", ""))
end

local function raw(text) return pandoc.RawBlock("typst", text) end

local function label(id) return id ~= "" and " <" .. id .. ">" or "" end

local function picture(image, usual_width)
  local width = (image.attributes.width or ""):match("^[%d.]+%%$") or usual_width
  return "image(" .. quoted(image.src) .. ", alt: " .. quoted(pandoc.utils.stringify(image.caption))
    .. ", width: " .. width .. ")"
end

local function after_first(blocks)
  local rest = pandoc.List(blocks):clone()
  rest:remove(1)
  return rest
end

-- The widths that pandoc reads off a pipe table's dashes say nothing; Typst's own are better, unless the author chose.
local function widths(tbl)
  local chosen = {}
  for width in (tbl.attributes["tbl-colwidths"] or ""):gmatch("[%d.]+") do table.insert(chosen, tonumber(width) / 100) end
  for i, spec in ipairs(tbl.colspecs) do spec[2] = chosen[i] end
  tbl.attributes["tbl-colwidths"] = nil
  tbl.classes:insert("typst:no-figure")
  return tbl
end

-- A short table moves to the next page whole. A longer one breaks and repeats its header, with three rows or more on each page:
-- there is room for the first ones where it begins, and the last ones are a footer, which Typst keeps together.
local FEWEST = 3

local function is_short(block)
  return block.t ~= "Table" or #block.bodies[1].body < 2 * FEWEST or #block.bodies[1].body <= 8 and #pandoc.utils.stringify(block) < 800
end

local function slice(rows, first, last) return pandoc.List { table.unpack(rows, first, last) } end

local function with_rows(tbl, rows, last)
  local copy = tbl:clone()
  local bodies = copy.bodies
  bodies[1].body = rows
  copy.bodies, copy.foot = bodies, pandoc.TableFoot(last)
  return typst { copy }
end

local function breaking(tbl)
  local rows = tbl.bodies[1].body
  local cut = #rows - FEWEST
  local text = with_rows(tbl, slice(rows, 1, cut), slice(rows, cut + 1, #rows))
  return "room-for[" .. with_rows(tbl, slice(rows, 1, FEWEST), {}) .. "]\n",
    text:gsub("table%.hline%(%),%s*table%.footer%(", "table.footer(repeat: false, ")
end

-- A word that Typst takes for a heading or for an item of a list where it begins a cell, a link or a title, which pandoc's writer
-- minds at the beginning of paragraphs only: = - + / and 1.
local function no_marker(str)
  local number, mark, more = str.text:match("^(%d*)([-+=/.])(.*)$")
  if not mark or (mark == ".") ~= (number ~= "") or more:find("^[-+=/]*[%w%p]") and not more:find("^[-+=/]+$") then return nil end
  return { pandoc.Str(number), pandoc.RawInline("typst", "\\" .. mark), pandoc.Str(more) }
end

-- A word that is wider than a column, or in a title than the page, may break after every so many letters: at a soft hyphen.
local LONG, PART = 20, 7

local function is_letter(code)
  return code < 128 and utf8.char(code):match("%a") ~= nil or code >= 192 and (code < 0x2000 or code > 0x2BFF)
end

local function with_breaks(word)
  if #word <= LONG then return table.concat(word) end
  local parts = {}
  for i, letter in ipairs(word) do
    parts[i] = letter .. (i % PART == 0 and i < #word and "\u{AD}" or "")
  end
  return table.concat(parts)
end

local function breakable(str)
  if #str.text <= LONG then return nil end
  local parts, word = {}, {}
  for _, code in utf8.codes(str.text) do
    if is_letter(code) then
      table.insert(word, utf8.char(code))
    else
      table.insert(parts, with_breaks(word) .. utf8.char(code))
      word = {}
    end
  end
  return pandoc.Str(table.concat(parts) .. with_breaks(word))
end

return {
  { RawBlock = function(block)
      if block.format == "html" and block.text:find("<table") then
        return pandoc.read(block.text, "html").blocks
      end
    end,
    Cite = function(cite) return cite.content end },  -- written already; a part of a document would cite again
  { Str = breakable },
  { Str = no_marker,
    Table = widths,
    Plain = function(plain)
      local image = plain.content[1]
      if #plain.content == 1 and image.t == "Image" then return raw("#" .. picture(image, "100%")) end
    end },
  { Image = function(image) return pandoc.RawInline("typst", "#box(" .. picture(image, "auto") .. ")") end,
    Header = function(header)
      header.attributes.number = nil
      return header
    end,
    CodeBlock = function(code)
      code.attributes.fold = nil
      return code
    end,
    Div = function(div)
      if div.classes:includes("pagebreak") then return raw("#pagebreak(weak: true)") end
      if div.classes:includes("callout") then
        return raw("#callout(" .. quoted(div.attributes.kind) .. ", [" .. typst(div.content[1].content) .. "])[\n"
          .. typst(after_first(div.content)) .. "\n]" .. label(div.identifier))
      end
      if div.classes:includes("table-note") then return raw("#table-note[" .. typst(div.content) .. "]") end
      if div.classes:includes("subcaption") then return raw("#subcaption[" .. typst(div.content) .. "]") end
      if div.classes:includes("subfigure") then
        return raw("#block(breakable: false)[\n" .. typst(div.content) .. "\n]" .. label(div.identifier))
      end
      if div.classes:includes("layout") then
        local cells = div.content:map(function(block) return "[" .. typst { block } .. "]" end)
        return raw("#grid(columns: (1fr,) * " .. div.attributes.columns .. ", gutter: 1em,\n"
          .. table.concat(cells, ",\n") .. ")")
      end
      if div.classes:includes("float") then
        local kind = div.attributes.kind == "tbl" and "table" or "image"
        local whole = kind == "image" or is_short(div.content[2])
        local set = "breakable: " .. tostring(not whole)
        if whole and kind == "table" then set = set .. ", sticky: true" end  -- it keeps its note beside it
        local place = kind == "image" and ", placement: auto" or ""  -- text fills the page that has no room for it
        local room, content = "", nil
        if whole then content = typst(after_first(div.content)) else room, content = breaking(div.content[2]) end
        return raw("#{\n" .. room .. "show figure: set block(" .. set .. ")\n[#figure(kind: " .. kind .. place
          .. ", supplement: none, numbering: none, caption: [" .. typst(div.content[1].content) .. "])[\n"
          .. content .. "\n]" .. label(div.identifier) .. "]\n}")
      end
    end },
}
