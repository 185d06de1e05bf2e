--- The verbs `completion` and `help`, made from the definition of the parser.
local failure = require "tycho.command.failure"

local completion = { name = "completion" }

function completion.define(command)
  command:summary "Write a completion script for a shell"
  command:description [[
bash: tycho completion bash > ~/.local/share/bash-completion/completions/tycho
zsh: tycho completion zsh > _tycho, in a directory of $fpath
fish: tycho completion fish > ~/.config/fish/completions/tycho.fish]]
  command:argument("shell", "bash, zsh or fish"):choices { "bash", "zsh", "fish" }
end

function completion.run(arguments, output, parser)
  output:write(parser["get_" .. arguments.shell .. "_complete"](parser))
end

local help = { name = "help" }

function help.define(command)
  command:summary "Show how a verb is used"
  command:argument("verb_name", "The verb; none: all of them"):args "?":argname "VERB"
  command._is_help_command = true -- argparse completes its argument with the verbs
end

function help.run(arguments, output, parser, commands)
  local name = arguments.verb_name
  local shown = parser
  if name then
    shown = commands[name]
    if not shown then failure.usage(("there is no verb %q"):format(name)) end
  end
  output:write(shown:get_help(), "\n")
end

return { completion, help }
