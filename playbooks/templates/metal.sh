#!/bin/sh
# SPDX-License-Identifier: MIT
# Rents a metal instance of AWS, runs a command while it is there, and gives it back however that
# ends. Copy and adapt it. It needs the AWS command line with your credentials, and in lab.yaml
#   address: metal.invalid
#   known_hosts: metal.known_hosts
# which it replaces in a copy, metal.yaml: for the command, which is run here.
set -eu

usage="usage: metal.sh --template lt-… [--minutes 60] -- neve run PLAYBOOK --inventory metal.yaml --host metal"
minutes=60 template=
while [ $# -gt 0 ]; do
	case $1 in
	--template) template=$2; shift 2 ;;
	--minutes) minutes=$2; shift 2 ;;
	--) shift; break ;;
	*) echo "$usage" >&2; exit 2 ;;
	esac
done
if [ -z "$template" ] || [ $# = 0 ]; then
	echo "$usage" >&2
	exit 2
fi
command -v aws > /dev/null || { echo "metal.sh: there is no aws on this machine" >&2; exit 2; }
[ -e lab.yaml ] || { echo "metal.sh: there is no lab.yaml in this folder" >&2; exit 2; }

instance=
give_back() {
	status=$?
	trap '' INT TERM HUP
	[ -z "$instance" ] || until aws ec2 terminate-instances --instance-ids "$instance" > /dev/null; do
		echo "metal.sh: $instance is not given back yet; trying again" >&2
		sleep "${METAL_POLL:-10}"
	done
	rm -f metal.user-data
	[ -z "$instance" ] || echo "metal.sh: $instance is given back" >&2
	exit "$status"
}
trap give_back EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# The second guard, for when this computer dies: the instance ends itself. Its timer is on its disk,
# so it survives the boots of a run.
end=$(date -u -d "+$minutes minutes" '+%Y-%m-%d %H:%M:%S UTC')
cat > metal.user-data << END
#!/bin/sh
cat > /etc/systemd/system/give-back.service << UNIT
[Service]
Type=oneshot
ExecStart=/bin/systemctl poweroff
UNIT
cat > /etc/systemd/system/give-back.timer << UNIT
[Timer]
OnCalendar=$end
Persistent=true
[Install]
WantedBy=timers.target
UNIT
systemctl enable --now give-back.timer
END

instance=$(aws ec2 run-instances --launch-template "LaunchTemplateId=$template" \
	--instance-initiated-shutdown-behavior terminate \
	--tag-specifications 'ResourceType=instance,Tags=[{Key=neve,Value=run}]' \
	--user-data file://metal.user-data --query 'Instances[0].InstanceId' --output text)
echo "metal.sh: $instance, until $end at the latest" >&2
aws ec2 wait instance-running --instance-ids "$instance"
address=$(aws ec2 describe-instances --instance-ids "$instance" \
	--query 'Reservations[0].Instances[0].PublicIpAddress' --output text)

# cloud-init prints the host keys on the console, which the provider vouches for.
rm -f metal.known_hosts
until [ -s metal.known_hosts ]; do
	sleep "${METAL_POLL:-10}"
	aws ec2 get-console-output --latest --instance-id "$instance" --query Output --output text |
		sed -n '/BEGIN SSH HOST KEY KEYS/,/END SSH HOST KEY KEYS/s/.*\(\(ssh\|ecdsa\)-[a-z0-9-]* [A-Za-z0-9+/=]*\).*/'"$address"' \1/p' \
			> metal.known_hosts
done
sed "s/metal\.invalid/$address/" lab.yaml > metal.yaml
"$@"
