-- Typst's PDF/UA-1 wants a text for every equation, and neither pandoc nor Quarto gives one to inline mathematics.
-- Runs before typst.lua, which writes the equations of captions and cells with everything else in them.
-- The text is the attribute `alt` of a span around the equation, or else the TeX source, which is what a reader of
-- TeX would say.
if FORMAT ~= "typst" then return {} end

local function quoted(text)
  return '"' .. text:gsub("\\", "\\\\"):gsub('"', '\\"'):gsub("%s+", " ") .. '"'
end

local function equation(math, alt, number)
  local plain = pandoc.write(pandoc.Pandoc { pandoc.Plain { math } }, "typst")
  local arguments = "alt: " .. quoted(alt ~= "" and alt or math.text)
  if math.mathtype == "DisplayMath" then arguments = arguments .. ", block: true" end
  if number then arguments = arguments .. ', numbering: _ => "(' .. number .. ')"' end
  return "#math.equation(" .. arguments .. ", " .. plain:gsub("%s+$", "") .. ".body)"
end

return { {
  traverse = "topdown",
  Span = function(span)
    local math = span.content[1]
    if #span.content ~= 1 or math.t ~= "Math" then return nil end
    local text = equation(math, span.attributes.alt or "", span.attributes.number)
    if span.identifier ~= "" then text = text .. " <" .. span.identifier .. ">" end
    return pandoc.RawInline("typst", text), false
  end,
  Math = function(math)
    return pandoc.RawInline("typst", equation(math, "")), false
  end,
} }
