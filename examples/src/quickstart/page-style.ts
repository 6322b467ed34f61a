/** How the page looks. Charts take their colours from the variables here, so both themes need one drawing. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --page: #fbfaf6; --card: #ffffff; --ink: #1d1c1a; --muted: #6a665e; --faint: #e6e1d6; --land: #e9e4d9;
  --early: #b4d0da; --on-time: #4f8aa5; --late: #c4442a;
  --step-0: #cde0e4; --step-1: #f2ead2; --step-2: #f5d7a3; --step-3: #efb46d; --step-4: #e28a45;
  --step-5: #c95530; --step-6: #962719;
  --on-step-0: #3d4a4d; --on-step-1: #4c463b; --on-step-2: #4c463b; --on-step-3: #4a3312; --on-step-4: #381a08;
  --on-step-5: #fff7ee; --on-step-6: #fff7ee;
  --serif: 'Source Serif 4 Variable', Georgia, 'Times New Roman', serif;
  --sans: 'Inter Variable', system-ui, -apple-system, 'Segoe UI', sans-serif;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #141517; --card: #1c1e21; --ink: #f0ede6; --muted: #a19c92; --faint: #2e3135; --land: #26292d;
    --early: #35566a; --on-time: #5f9dbb; --late: #f07350;
    --step-0: #24404b; --step-1: #3a342b; --step-2: #5e4a2c; --step-3: #8c602c; --step-4: #c07a37;
    --step-5: #f0945a; --step-6: #ffc9a8;
    --on-step-0: #d5dfe2; --on-step-1: #d6cfc1; --on-step-2: #e2d8c4; --on-step-3: #f6e9d2; --on-step-4: #1f0f06;
    --on-step-5: #24120a; --on-step-6: #24120a;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 17px/1.6 var(--sans); font-feature-settings: 'tnum', 'cv11';
  -webkit-font-smoothing: antialiased;
}
main, footer { max-width: 1120px; margin: 0 auto; padding: 0 40px; }
header { padding: 88px 0 24px; }
.eyebrow { margin: 0 0 20px; color: var(--late); font-size: 14px; font-weight: 600; letter-spacing: .04em; }
h1 {
  margin: 0; max-width: 22ch; font: 600 clamp(38px, 6vw, 72px)/1.04 var(--serif); letter-spacing: -.02em;
}
h1 span { display: block; text-wrap: balance; }
.lede { max-width: 62ch; margin: 28px 0 0; color: var(--muted); font-size: 20px; text-wrap: pretty; }
.lede strong { color: var(--ink); font-weight: 600; }
.figures {
  display: grid; grid-template-columns: repeat(4, 1fr); gap: 0; margin: 44px 0 0; padding: 0;
  border-top: 2px solid var(--ink); border-bottom: 1px solid var(--faint);
}
.figures div { padding: 20px 20px 22px 0; }
.figures div + div { padding-left: 20px; border-left: 1px solid var(--faint); }
.figures dt { color: var(--muted); font-size: 14px; }
.figures dd { margin: 2px 0 0; font: 600 clamp(26px, 3vw, 36px)/1.2 var(--serif); letter-spacing: -.01em; }
.figures dd small { display: block; margin-top: 4px; color: var(--muted); font: 400 14px/1.4 var(--sans); letter-spacing: 0; }
section { padding: 64px 0 8px; }
h2 {
  margin: 0; max-width: 40ch; font: 600 clamp(28px, 3.4vw, 38px)/1.15 var(--serif); letter-spacing: -.012em;
  text-wrap: balance;
}
h3 { margin: 0 0 12px; font-size: 15px; font-weight: 600; }
p { max-width: 68ch; margin: 12px 0 0; text-wrap: pretty; }
.note { color: var(--muted); font-size: 14px; line-height: 1.55; }
figure { margin: 28px 0 0; overflow-x: auto; }
figure svg { display: block; width: 100%; min-width: 720px; height: auto; overflow: visible; }
figure text { font-variant-numeric: tabular-nums; }
.legend {
  display: flex; flex-wrap: wrap; align-items: center; gap: 6px 22px; margin: 22px 0 0; padding: 0; list-style: none;
  color: var(--muted); font-size: 14px;
}
.legend i { display: inline-block; width: 14px; height: 14px; margin-right: 8px; border-radius: 4px; vertical-align: -2px; }
.scale { display: flex; flex-wrap: wrap; align-items: flex-start; gap: 6px 18px; line-height: 1.2; margin: 22px 0 0; color: var(--muted); font-size: 13px; }
.scale ol { display: flex; margin: 0; padding: 0; list-style: none; }
.scale li { position: relative; width: 58px; padding-top: 17px; text-align: right; }
.scale li::before { content: ''; position: absolute; inset: 0 1px auto 0; height: 12px; background: var(--step); }
.scale li:first-child::before { border-radius: 4px 0 0 4px; }
.scale li:last-child::before { border-radius: 0 4px 4px 0; }
h4 { margin: 0; color: var(--muted); font-size: 14px; font-weight: 400; }
.titled { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 4px 20px; align-content: start; align-items: baseline; }
.titled .legend { margin: 0; gap: 4px 16px; }
.half { flex: 1 0 100%; margin-top: 12px; }
figure + figure { margin-top: 0; }
.half svg { min-width: 0; }
.scale li span { position: relative; left: 50%; display: inline-block; width: 100%; text-align: center; }
.scale li:last-child span { visibility: hidden; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 56px; margin-top: 32px; }
table { width: 100%; border-collapse: collapse; font-size: 15px; line-height: 1.35; }
caption { padding-bottom: 8px; text-align: left; font-weight: 600; }
th { padding: 6px 0; color: var(--muted); font-size: 13px; font-weight: 400; text-align: left; border-bottom: 1px solid var(--ink); }
td { padding: 9px 0; border-bottom: 1px solid var(--faint); vertical-align: top; }
th + th, td + td { padding-left: 16px; text-align: right; white-space: nowrap; }
td small { display: block; color: var(--muted); font-size: 13px; }
.meter { display: block; height: 3px; margin-top: 6px; border-radius: 2px; background: var(--faint); }
.meter i { display: block; height: 100%; border-radius: 2px; background: var(--late); }
details { margin: 28px 0 0; }
summary { cursor: pointer; color: var(--muted); font-size: 15px; }
summary:hover { color: var(--ink); }
details table { margin-top: 16px; }
.notes { margin-top: 72px; padding: 36px 40px 40px; border-radius: 14px; background: var(--card); }
.notes ul { margin: 16px 0 0; padding-left: 20px; }
.notes li { max-width: 80ch; margin-top: 8px; }
footer { padding-top: 36px; padding-bottom: 72px; color: var(--muted); font-size: 14px; }
.tip {
  position: fixed; z-index: 1; max-width: 320px; padding: 8px 12px; border-radius: 8px; pointer-events: none;
  background: var(--ink); color: var(--page); font-size: 13px; line-height: 1.4;
}
@media (max-width: 760px) {
  main, footer { padding-left: 20px; padding-right: 20px; }
  header { padding-top: 48px; }
  .figures { grid-template-columns: 1fr 1fr; }
  .figures div:nth-child(odd) { padding-left: 0; border-left: 0; }
  .figures div:nth-child(n + 3) { border-top: 1px solid var(--faint); }
  .pair { grid-template-columns: 1fr; gap: 40px; }
  .scale li { width: 40px; }
  .notes { padding: 24px 20px; }
}
@media print { figure, tr, .figures { break-inside: avoid; } .tip { display: none; } }
`
