// The style of the console page: light and dark, down to 360 pixels. Series differ by dashes as well as by colour.

extension ConsolePage {
    static let style = #"""
        :root {
          color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif;
          --back: #fff; --text: #1b2430; --soft: #55606f; --line: #c3cad4; --panel: #f6f7f9; --accent: #0b5cad; --bad: #b3261e; --good: #1d6b34;
          --c0: #0b5cad; --c1: #b3470b; --c2: #1d6b34; --c3: #8b2f8f; --c4: #7a6200; --c5: #b3261e; --c6: #3f5a6b; --c7: #5b3fb0; --c8: #00696b;
        }
        @media (prefers-color-scheme: dark) {
          :root {
            --back: #14181f; --text: #e6ebf3; --soft: #a4b0c0; --line: #3d4756; --panel: #1c222c; --accent: #7cb7ff; --bad: #ff9d94; --good: #7fd898;
            --c0: #7cb7ff; --c1: #ffb07a; --c2: #7fd898; --c3: #e59be8; --c4: #e3cd6a; --c5: #ff9d94; --c6: #a9c3d4; --c7: #bda9ff; --c8: #6fd6d8;
          }
        }
        * { box-sizing: border-box; }
        body { max-width: 72rem; margin: 0 auto; padding: 1rem; background: var(--back); color: var(--text); }
        header { display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; align-items: baseline; }
        h1 { font-size: 1.5rem; margin: 0; }
        h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
        h3 { font-size: .95rem; margin: 0; }
        #state { flex: 1; margin: 0; font-weight: 600; }
        .good { color: var(--good); } .bad { color: var(--bad); }
        #fault { border-left: 4px solid var(--bad); padding: .25rem .75rem; background: var(--panel); }
        .hint { color: var(--soft); font-size: .9rem; margin: .25rem 0; }
        .wide { overflow-x: auto; }
        table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; }
        th, td { text-align: left; padding: .25rem .75rem .25rem 0; border-bottom: 1px solid var(--line); white-space: nowrap; }
        #charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(22rem, 100%), 1fr)); gap: 1rem; }
        figure { margin: 0; padding: .75rem; background: var(--panel); border: 1px solid var(--line); border-radius: .5rem; min-width: 0; }
        figcaption { display: flex; justify-content: space-between; gap: 1rem; align-items: baseline; }
        svg { display: block; width: 100%; height: auto; margin-top: .25rem; }
        svg:focus-visible, button:focus-visible, input:focus-visible, select:focus-visible, summary:focus-visible, pre:focus-visible {
          outline: 3px solid var(--accent); outline-offset: 2px;
        }
        svg text { fill: var(--soft); font-size: 12px; }
        .grid { stroke: var(--line); stroke-width: 1; }
        .cursor { stroke: var(--text); stroke-width: 1; stroke-dasharray: 2 2; }
        .s { fill: none; stroke-width: 2; stroke-linejoin: round; }
        .legend { list-style: none; margin: .25rem 0 0; padding: 0; display: flex; flex-wrap: wrap; gap: 0 1rem; font-size: .85rem; }
        .legend svg { display: inline-block; width: 1.75rem; height: .6rem; margin: 0 .35rem 0 0; vertical-align: middle; }
        .c0 { stroke: var(--c0); } .c1 { stroke: var(--c1); stroke-dasharray: 6 3; } .c2 { stroke: var(--c2); stroke-dasharray: 2 3; }
        .c3 { stroke: var(--c3); stroke-dasharray: 8 3 2 3; } .c4 { stroke: var(--c4); stroke-dasharray: 12 4; } .c5 { stroke: var(--c5); }
        .c6 { stroke: var(--c6); stroke-dasharray: 4 4; } .c7 { stroke: var(--c7); stroke-dasharray: 1 3; } .c8 { stroke: var(--c8); stroke-dasharray: 10 2 1 2; }
        .row { display: flex; flex-wrap: wrap; gap: .5rem 1rem; align-items: end; margin: .5rem 0; }
        label { font-size: .9rem; }
        input, select, button, textarea { font: inherit; color: inherit; background: var(--back); border: 1px solid var(--soft); border-radius: .35rem; padding: .3rem .5rem; max-width: 100%; }
        .row label:not(.check) { display: flex; flex-direction: column; }
        button { cursor: pointer; background: var(--panel); }
        button.primary { background: var(--accent); color: var(--back); border-color: var(--accent); font-weight: 600; padding: .4rem 1.2rem; }
        fieldset { border: 1px solid var(--line); border-radius: .5rem; margin: 0; min-width: 0; }
        #history { margin: 0; padding-left: 1.5rem; }
        #history button { padding: 0 .4rem; margin-left: .5rem; font-size: .85rem; }
        .search { position: relative; }
        #found { position: absolute; z-index: 1; min-width: 100%; max-height: 16rem; overflow-y: auto; margin: 0; padding: 0; list-style: none; background: var(--back); border: 1px solid var(--soft); border-radius: .35rem; }
        #found li { padding: .3rem .5rem; cursor: pointer; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; max-width: 20rem; }
        #found li:hover, #found li[aria-selected="true"] { background: var(--accent); color: var(--back); }
        #answer ol { padding-left: 2rem; }
        #answer li { padding: .15rem 0; }
        .bar { display: inline-block; height: .5rem; background: var(--accent); border-radius: .25rem; vertical-align: middle; }
        .track { display: inline-block; width: 5.2rem; margin-right: .5rem; }
        .why { margin: 0 0 .3rem 5.7rem; }
        .score { color: var(--soft); font-variant-numeric: tabular-nums; font-size: .9rem; }
        pre { background: var(--panel); border: 1px solid var(--line); border-radius: .5rem; padding: .75rem; white-space: pre-wrap; overflow-wrap: anywhere; font: .85rem/1.4 ui-monospace, monospace; }
        summary { cursor: pointer; margin-top: .5rem; }
        footer { margin-top: 2rem; }
        [hidden] { display: none !important; }
        """#
}
