#!/bin/bash
# Downloads Debian packages of English documentation and prose, and unpacks them: fetch_text.sh [FOLDER]
#
# FOLDER is .cache/text unless given; afterwards it has packages/*.deb, 0.8 GB, and files/, 4.3 GB. Needs no root and
# installs nothing. What is there already is not downloaded again. Token files are then made with
#   scripts/prepare_text.py .cache/text/files --out .cache/text --train-tokens 49200000
# by a Python that has numpy and tokenizers; it says how to get one.
set -euo pipefail
folder=${1:-$(dirname "$0")/../.cache/text}

packages=(
  # Prose and dictionaries.
  bible-kjv-text debian-faq debian-handbook debian-history debian-policy debian-reference-en debmake-doc dict-devil
  dict-foldoc dict-gcide dict-jargon dict-wn developers-reference fortunes harden-doc installation-guide-amd64
  jargon-text maint-guide miscfiles
  # Systems.
  apache2-doc aptitude-doc-en autoconf-doc bacula-doc bash-doc bind9-doc cinder-doc cmake-doc exim4-doc-html flex-doc
  freebsd-manpages gettext-doc gimp-help-en git-doc glibc-doc info ironic-doc keystone-doc libvirt-doc linux-doc-6.1
  linuxcnc-doc-en llvm-15-doc lammps-doc manpages manpages-dev mutt neutron-doc nova-doc nut-doc postfix-doc
  postgresql-doc-15 proftpd-doc qtbase5-doc-html qtdeclarative5-doc-html shorewall-doc slurm-wlm-doc sqlite3-doc
  swift-doc vim-runtime wireshark-doc zsh-doc
  # Languages and libraries.
  erlang-doc gap-doc ghc-doc grass-doc guile-3.0-doc libboost1.74-doc libglib2.0-doc libgtk-3-doc lilypond-doc
  maxima-doc nodejs-doc octave-doc openjdk-17-doc perl-doc postgis-doc python-astropy-doc python-django-doc
  python-pandas-doc python-scipy-doc python-sklearn-doc python-sqlalchemy-doc python-statsmodels-doc python-sympy-doc
  python3.11-doc racket-doc ruby3.1-doc rust-doc sbcl-doc swi-prolog-doc tcl8.6-doc tk8.6-doc
)

mkdir -p "$folder"/packages "$folder"/files
cd "$folder"/packages
for package in "${packages[@]}"; do
  compgen -G "${package}_*.deb" >/dev/null || apt-get -qq -o APT::Sandbox::User=root download "$package"
done
for package in *.deb; do
  name=${package%%_*}
  [ -e ../files/"$name" ] && continue
  dpkg-deb -x "$package" ../files/"$name".part
  mv ../files/"$name".part ../files/"$name"
done
du -sh ../packages ../files
