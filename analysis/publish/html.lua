-- What the HTML page needs beyond pandoc's own writer: figures with captions in the right place, tables that scroll
-- in a region of their own and whose header cells have a scope, numbered headings below the title's level, and code
-- that opens on request. Runs last, after the citations.

local function raw(text) return pandoc.RawBlock("html", text) end

local function escaped(text)
  return (text:gsub("&", "&amp;"):gsub("<", "&lt;"):gsub('"', "&quot;"))
end

local uncaptioned = 0

local function with_scopes(tbl)
  for _, row in ipairs(tbl.head.rows) do
    for _, cell in ipairs(row.cells) do cell.attr.attributes.scope = cell.col_span > 1 and "colgroup" or "col" end
  end
  for _, body in ipairs(tbl.bodies) do
    for _, row in ipairs(body.body) do
      for i = 1, body.row_head_columns do row.cells[i].attr.attributes.scope = "row" end
    end
  end
end

-- The widths that pandoc reads off a pipe table's dashes say nothing; the browser's are better, unless chosen.
local function set_widths(tbl)
  local chosen = {}
  for width in (tbl.attributes["tbl-colwidths"] or ""):gmatch("[%d.]+") do table.insert(chosen, tonumber(width) / 100) end
  for i, spec in ipairs(tbl.colspecs) do spec[2] = chosen[i] end
  tbl.attributes["tbl-colwidths"] = nil
end

local function figure(div)
  local body = pandoc.List(div.content)
  local caption = { raw('<figcaption id="' .. div.identifier .. '-caption">'), body:remove(1).content[1], raw("</figcaption>") }
  local all = pandoc.List { raw('<figure id="' .. div.identifier .. '" class="' .. div.attributes.kind .. '">') }
  for _, part in ipairs(div.attributes.kind == "tbl" and { caption, body } or { body, caption }) do all:extend(part) end
  all:insert(raw("</figure>"))
  return all
end

-- A table as HTML: Quarto would write it again, and some of its cells without their attributes.
local function as_html(tbl)
  return raw((pandoc.write(pandoc.Pandoc { tbl }, "html", { wrap_text = "none", html_math_method = "mathml" })))
end

-- A block as HTML: its classes or its identity would tell Quarto to make something else of it.
local function written(div, more)
  local id = div.identifier ~= "" and ' id="' .. div.identifier .. '"' or ""
  local all = pandoc.List { raw("<div" .. id .. ' class="' .. table.concat(div.classes, " ") .. '"' .. (more and " " .. more or "") .. ">") }
  all:extend(div.content)
  all:insert(raw("</div>"))
  return all
end

return {
  { RawBlock = function(block)  -- tables become tables like any other; the rest of an author's HTML stays as it is
      local is_table = block.text:match("^%s*<table") or block.text:find('class="dataframe"', 1, true)
      if block.format == "html" and is_table then
        return pandoc.read(block.text, "html").blocks:filter(function(read) return read.t ~= "RawBlock" end)
      end
    end },
  { Div = function(div)
      for _, block in ipairs(div.content) do
        if div.classes:includes("float") and block.t == "Table" then
          block.attributes["aria-labelledby"] = div.identifier .. "-caption"
        end
      end
      return div
    end },
  { Table = function(tbl)
      with_scopes(tbl)
      set_widths(tbl)
      local caption = tbl.attributes["aria-labelledby"]
      if not caption then uncaptioned = uncaptioned + 1 end
      local label = caption and 'aria-labelledby="' .. caption .. '"' or 'aria-label="Unnumbered table ' .. uncaptioned .. '"'
      return { raw('<div class="table-region" role="region" tabindex="0" ' .. label .. ">"), as_html(tbl), raw("</div>") }
    end,
    Div = function(div)
      if div.classes:includes("float") then return figure(div) end
      if div.classes:includes("callout") then return written(div, 'role="note"') end
      if div.classes:includes("subfigure") then return written(div) end
      if div.classes:includes("layout") then
        div.attributes.style, div.attributes.columns = "--columns:" .. div.attributes.columns, nil
      end
      return div
    end,
    Header = function(header)
      local number = header.attributes.number
      header.level, header.attributes.number = math.min(header.level + 1, 6), nil
      if number then
        header.content:insert(1, pandoc.Span(number, { class = "header-section-number" }))
        header.content:insert(2, pandoc.Space())
      end
      return header
    end,
    CodeBlock = function(code)
      local fold = code.attributes.fold
      if not fold then return nil end
      code.attributes.fold = nil
      return { raw('<details class="code-fold"><summary>' .. escaped(fold) .. "</summary>"), code, raw("</details>") }
    end,
    Span = function(span)
      local math, number = span.content[1], span.attributes.number
      if #span.content ~= 1 or math.t ~= "Math" or math.mathtype ~= "DisplayMath" then return nil end
      if number then
        span.content:insert(pandoc.Span("(" .. number .. ")", { class = "equation-number" }))
      end
      -- A long equation scrolls on a narrow screen, so the keyboard must reach it.
      local label = number and "Equation " .. number or "Equation"
      -- Pairs, not a table: Lua's tables have no order, and the page's bytes must have one.
      return pandoc.Span(span.content, pandoc.Attr(span.identifier, { "equation" },
        { { "role", "group" }, { "tabindex", "0" }, { "aria-label", label } }))
    end },
}
